#![no_main]

#[allow(dead_code, reason = "each target needs one of them")]
#[path = "../../core/tests/it/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|text: &str| properties::ini(text));
