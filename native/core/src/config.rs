//! The client configuration file (INI), shared with the official client.
