//! Open Job Description: templates, jobs, parameter spaces and sessions.
//!
//! `openjd-model` and `openjd-expr` know the rules of the documents; this module adds what a farm and a person at a
//! terminal need from them: every finding with its path, plain values at the boundary, random access to any task of any
//! parameter space, and sessions that survive what renderers do.

pub mod document;
pub mod entity;
pub mod job;
pub mod parameter_space;
pub mod sessions;
pub mod template;
pub mod values;
