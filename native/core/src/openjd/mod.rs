//! Open Job Description: templates, jobs, parameter spaces and sessions.

pub mod sessions;
pub mod template;
