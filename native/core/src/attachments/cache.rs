//! The hash cache and the S3-check cache, shared with the official client.
