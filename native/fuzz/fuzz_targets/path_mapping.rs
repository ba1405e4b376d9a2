#![no_main]

#[allow(dead_code, reason = "each target needs one of them")]
#[path = "../../core/tests/it/properties.rs"]
mod properties;

use serde_json::json;

// The input: format, source, destination and path, one a line.
libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let format = match lines.next() {
        Some("w") => "WINDOWS",
        Some("u") => "URI",
        _ => "POSIX",
    };
    let (Some(source), Some(destination), Some(path)) = (lines.next(), lines.next(), lines.next()) else { return };
    let rule = json!({"source_path_format": format, "source_path": source, "destination_path": destination});
    properties::path_mapping(&serde_json::from_value(rule).unwrap(), path);
    properties::relative_path(path);
});
