//! The object store: the S3 protocol over a folder.
