//! JSON and YAML documents.

use serde_json::Value;

/// Reads YAML, of which JSON is a part.
pub fn parse_yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|err| err.to_string())
}
