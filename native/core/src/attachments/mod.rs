//! Job attachments: which files a job needs, their hashes, and their way to and from the content-addressed store.
//!
//! The functions block and bring a runtime of their own for the network: call them from a plain thread, never from
//! inside a task. What they refuse: to follow a manifest out of its root, to show a file that is not whole, and to
//! store bytes under a hash that is not theirs.

pub mod by_manifest;
pub mod cache;
pub mod copies;
pub mod download;
pub mod grouping;
pub mod hash;
pub mod manifest;
pub mod mapping;
pub mod multipart;
pub mod outputs;
mod part;
pub mod paths;
pub mod probe;
pub mod progress;
pub mod s3;
pub(crate) mod store;
pub mod sync;
pub mod upload;

use std::future::Future;

use crate::{CoreError, Result};

/// Runs the network part of a call to its end on a runtime made for it.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).min(4))
        .thread_name("shotput-transfer")
        .enable_all()
        .build()
        .map_err(|err| CoreError::Attachments(format!("Cannot start the threads for a transfer: {err}.")))?
        .block_on(work)
}
