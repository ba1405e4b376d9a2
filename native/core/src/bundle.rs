//! Job bundles: template, parameter values, asset references.
