//! Content hashes (xxh128).
