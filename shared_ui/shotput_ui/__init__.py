"""What the user interfaces of all hosts share: view models without any toolkit, and views on top of them."""
