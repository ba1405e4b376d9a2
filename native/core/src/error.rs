//! The one error type of the crate.
//!
//! Every variant is one Python exception class (see `shotput/errors.py`); the mapping in the bindings is exhaustive.
//! Messages say what failed, with which value, and what to do next.

use std::path::PathBuf;

/// What a function of this crate returns.
pub type Result<T, E = CoreError> = std::result::Result<T, E>;

/// One finding in a document that breaks the OpenJD rules.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Where in the document, e.g. `steps[0] -> script -> actions -> onRun`; empty for the document as a whole.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// Everything that can fail in the core.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// An operation failed for a reason without a class of its own.
    #[error("{0}")]
    Operation(String),
    /// The caller's token or callback ended the work.
    #[error("{0}")]
    Canceled(String),
    /// A person declined.
    #[error("{0}")]
    UserCanceled(String),
    /// The wait for a created job was ended by the caller.
    #[error("{0}")]
    WaiterCanceled(String),
    /// A limit of time passed.
    #[error("{0}")]
    TimedOut(String),
    /// The configuration cannot be read, written or understood.
    #[error("{0}")]
    Config(String),
    /// The AWS profile is of a kind that cannot be logged in to or out of from here.
    #[error("{0}")]
    UnsupportedProfile(String),
    /// A service answered with an error, or did not answer.
    #[error("{message}")]
    Service {
        /// The operation, e.g. `GetFarm`.
        operation: String,
        /// The modelled error code, e.g. `ResourceNotFoundException`; empty when nothing answered, `NoCredentials`
        /// when there was nothing to sign the request with.
        code: String,
        /// HTTP status, 0 when nothing answered.
        status: u16,
        /// The whole sentence for a person.
        message: String,
    },
    /// A document breaks the OpenJD rules.
    #[error("{message}")]
    Template {
        /// The whole text for a person.
        message: String,
        /// Every finding.
        findings: Vec<Finding>,
    },
    /// A job bundle is not usable.
    #[error("{0}")]
    Bundle(String),
    /// Hashing, upload or download of files failed.
    #[error("{0}")]
    Attachments(String),
    /// Input files are missing or are folders.
    #[error("{message}")]
    MissingInputs {
        /// The whole text for a person.
        message: String,
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// A session, or an action in it, could not be run.
    #[error("{0}")]
    Session(String),
    /// The object store cannot start or serve.
    #[error("{0}")]
    ObjectStore(String),
    /// An image cannot be read, compared or written.
    #[error("{0}")]
    Image(String),
}

impl CoreError {
    /// The name of the Python class that stands for this kind of error.
    #[must_use]
    pub const fn class_name(&self) -> &'static str {
        match self {
            Self::Operation(_) => "DeadlineOperationError",
            Self::Canceled(_) => "DeadlineOperationCanceled",
            Self::UserCanceled(_) => "UserInitiatedCancel",
            Self::WaiterCanceled(_) => "CreateJobWaiterCanceled",
            Self::TimedOut(_) => "DeadlineOperationTimedOut",
            Self::Config(_) => "ConfigError",
            Self::UnsupportedProfile(_) => "UnsupportedProfileTypeForLoginLogout",
            Self::Service { .. } => "ServiceError",
            Self::Template { .. } => "TemplateError",
            Self::Bundle(_) => "BundleError",
            Self::Attachments(_) => "AttachmentsError",
            Self::MissingInputs { .. } => "MissingInputsError",
            Self::Session(_) => "SessionError",
            Self::ObjectStore(_) => "ObjectStoreError",
            Self::Image(_) => "ImageError",
        }
    }
}
