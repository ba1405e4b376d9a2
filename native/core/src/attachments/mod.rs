//! Job attachments: hashing, manifests, the shared caches, upload and download.

pub mod cache;
pub mod download;
pub mod hash;
pub mod manifest;
pub mod upload;
