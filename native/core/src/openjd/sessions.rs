//! Sessions: environments and tasks as subprocesses.
