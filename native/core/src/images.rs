//! Contact sheets and image comparison.
