//! The Deadline Cloud service client.
