//! Submission of a job bundle.
