//! Asset manifests, version 2023-03-03.
