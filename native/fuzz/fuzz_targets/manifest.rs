#![no_main]

#[allow(dead_code, reason = "each target needs one of them")]
#[path = "../../core/tests/it/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::manifest(bytes));
