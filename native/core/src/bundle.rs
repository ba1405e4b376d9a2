//! Job bundles: a folder with a template, values for its parameters, and references to files.

pub mod documents;
pub mod parameters;
