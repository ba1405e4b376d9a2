//! Everything of Shotput that moves bytes or processes. No Python.
//!
//! The crate takes resolved values: it never prompts, prints, or reads defaults behind the caller's back. Work that can
//! last takes a [`CancellationToken`](tokio_util::sync::CancellationToken) and reports through plain callbacks.

pub mod attachments;
pub mod bundle;
pub mod config;
pub mod credentials;
pub mod error;
pub mod images;
pub mod login;
pub mod objects;
pub mod openjd;
pub mod service;
pub mod submission;
pub mod telemetry;

pub use error::{CoreError, Result};
