//! The object store: the S3 protocol over a folder.
//!
//! It exists for the local farm's job attachments and takes what clients of S3 send for those: objects and their listing,
//! ranges, conditions, multipart uploads, checksums, signed requests. It refuses by name what it does not have (versions,
//! access lists, policies, bucket creation), and it serves loopback only.

mod access;
mod answers;
mod checksums;
mod format;
mod listing;
mod names;
mod requests;
mod server;
mod service;
mod store;
mod transfer;
mod uploads;

pub use access::AccessKey;
pub use server::ObjectStore;
