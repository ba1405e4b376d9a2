//! Template checks, jobs and task parameter spaces.
