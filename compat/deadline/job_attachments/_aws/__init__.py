"""Clients of AWS as job attachments make them."""
