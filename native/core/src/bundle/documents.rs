//! JSON and YAML documents of a bundle.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{CoreError, Result};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// A document with the text that it was read from.
#[derive(Debug, Clone)]
pub struct Document {
    /// Where it lies.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
    /// As it stands in the file.
    pub text: String,
    /// What it means.
    pub value: Value,
}

impl Document {
    /// Reads `<folder>/<name>.yaml` or `.json`; `None` when there is neither. Both are an error.
    pub fn read(folder: &Path, name: &str) -> Result<Option<Self>> {
        let json = folder.join(format!("{name}.json"));
        let yaml = folder.join(format!("{name}.yaml"));
        let (path, format) = match (json.is_file(), yaml.is_file()) {
            (false, false) => return Ok(None),
            (true, true) => {
                return Err(CoreError::Bundle(format!(
                    "The job bundle {} has both {name}.json and {name}.yaml. Remove one of them.",
                    folder.display()
                )));
            }
            (true, false) => (json, Format::Json),
            (false, true) => (yaml, Format::Yaml),
        };
        let refuse = |what: String| CoreError::Bundle(format!("The file {} {what}", path.display()));
        let bytes =
            std::fs::read(&path).map_err(|err| refuse(format!("cannot be read: {err}. Check its permissions.")))?;
        let text = String::from_utf8(bytes).map_err(|err| {
            refuse(format!("is not UTF-8 text (byte {}). Save it as UTF-8.", err.utf8_error().valid_up_to()))
        })?;
        let value = match format {
            Format::Json => {
                serde_json::from_str(&text).map_err(|err| refuse(format!("is not JSON: {err}. Correct that place.")))?
            }
            Format::Yaml => {
                parse_yaml(&text).map_err(|err| refuse(format!("is not YAML: {err}. Correct that place.")))?
            }
        };
        Ok(Some(Self { path, format, text, value }))
    }
}

/// Reads YAML, of which JSON is a part. The error is one line.
pub fn parse_yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        // YAML 1.2, as OpenJD wants it: `yes` and `on` are text.
        strict_booleans: true,
        reject_non_finite_typeless_float: false,
        // References to the files of a large scene run into the hundred thousands.
        budget: serde_saphyr::budget! { max_depth: 128, max_nodes: 5_000_000, max_events: 20_000_000 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|err| {
        let text = err.to_string();
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unreadable");
        line.trim_start_matches("error: ").trim_end_matches('.').to_owned()
    })
}

/// The text of a value, in the given form where that keeps its meaning, else as JSON.
pub fn render(value: &Value, format: Format) -> (String, Format) {
    if format == Format::Yaml
        && let Ok(text) = serde_saphyr::to_string(value)
        && parse_yaml(&text).as_ref() == Ok(value)
    {
        return (text, Format::Yaml);
    }
    (value.to_string(), Format::Json)
}
