//! Job bundles: a folder with a template, values for its parameters, and references to files.
//!
//! A bundle comes from anywhere, so nothing in it may reach outside of it unseen: links that lead out and relative
//! paths that climb out are refused before anything is read.

mod assets;
pub mod documents;
pub mod parameters;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use walkdir::WalkDir;

pub use assets::{AssetReferences, absolute};

use crate::error::{CoreError, Result};
use documents::{Document, Format};
use parameters::{Parameter, text};

/// The only kind of template that there is.
pub const SPECIFICATION: &str = "jobtemplate-2023-09";

/// The service takes no longer template.
const MAX_TEMPLATE: usize = 1_000_000;

/// A bundle as it was read.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The folder, with links resolved.
    pub folder: PathBuf,
    /// The template.
    pub template: Document,
    /// The template's parameters with the bundle's values, then values for parameters that are defined elsewhere.
    pub parameters: Vec<Parameter>,
    /// Files and folders that the bundle refers to.
    pub references: AssetReferences,
    /// Whether it was read as the official client reads it.
    as_official_client: bool,
}

impl Bundle {
    /// Whether paths may be URIs, which are no files.
    pub fn has_uris(&self) -> bool {
        parameters::is_expr(&self.template.value)
    }

    /// The bundle as plain values: `folder`, `templatePath`, `template`, `parameters` and `assetReferences` in the shape
    /// of their document.
    pub fn to_value(&self) -> Value {
        serde_json::json!({
            "folder": self.folder,
            "templatePath": self.template.path,
            "template": self.template.value,
            "parameters": self.parameters,
            "assetReferences": self.references.to_document()["assetReferences"],
        })
    }

    /// Reads a bundle.
    pub fn read(folder: &Path) -> Result<Self> {
        Self::read_as(folder, false)
    }

    /// Reads a bundle; `as_official_client` lets numbers and truth values pass as text of a STRING.
    pub fn read_as(folder: &Path, as_official_client: bool) -> Result<Self> {
        let folder = folder.canonicalize().ok().filter(|folder| folder.is_dir()).ok_or_else(|| {
            CoreError::Bundle(format!(
                "The job bundle {} is not a folder. Give the folder that holds template.yaml.",
                folder.display()
            ))
        })?;
        check_containment(&folder)?;
        let template = Document::read(&folder, "template")?.ok_or_else(|| {
            CoreError::Bundle(format!(
                "The job bundle {} has neither template.yaml nor template.json.",
                folder.display()
            ))
        })?;
        check_kind(&template)?;
        let parameters = read_parameters(&folder, &template, as_official_client)?;
        let references = match Document::read(&folder, "asset_references")? {
            Some(document) => AssetReferences::from_document(&document, &folder)?,
            None => AssetReferences::default(),
        };
        Ok(Self { folder, template, parameters, references, as_official_client })
    }

    /// The same bundle with another template, and the parameters that it defines.
    pub fn with_template(self, template: Document) -> Result<Self> {
        check_kind(&template)?;
        let parameters = read_parameters(&self.folder, &template, self.as_official_client)?;
        Ok(Self { template, parameters, ..self })
    }

    /// The template as it goes to the service, with its type. Untouched when nothing is changed.
    pub fn template_text(&self, name: Option<&str>) -> Result<(String, &'static str)> {
        let (text, format) = match name {
            None => (self.template.text.clone(), self.template.format),
            Some(name) => {
                let mut value = self.template.value.clone();
                value["name"] = name.into();
                documents::render(&value, self.template.format)
            }
        };
        let length = text.chars().count();
        if length > MAX_TEMPLATE {
            return Err(CoreError::Bundle(format!(
                "The template {} has {length} characters; the service takes at most {MAX_TEMPLATE}. Move embedded \
                 files out of the template into the bundle's folder and refer to them in asset_references.",
                self.template.path.display()
            )));
        }
        Ok((text, format.wire_name()))
    }
}

/// Refuses a template of another kind than there is.
fn check_kind(template: &Document) -> Result<()> {
    if !template.value.is_object() {
        return Err(CoreError::Bundle(format!(
            "The template {} must be a mapping of keys to values.",
            template.path.display()
        )));
    }
    match template.value.get("specificationVersion") {
        Some(version) if version == SPECIFICATION => {}
        found => {
            return Err(CoreError::Bundle(format!(
                "The template {} has the specificationVersion {}; it must be {SPECIFICATION:?}.",
                template.path.display(),
                found.unwrap_or(&Value::Null)
            )));
        }
    }
    Ok(())
}

/// Refuses a bundle in which a link leads outside. Linked folders are not descended into.
fn check_containment(folder: &Path) -> Result<()> {
    for entry in WalkDir::new(folder).follow_links(false) {
        let entry = entry.map_err(|err| {
            CoreError::Bundle(format!(
                "The job bundle {} cannot be read: {err}. Check its permissions.",
                folder.display()
            ))
        })?;
        if !entry.path_is_symlink() {
            continue;
        }
        let refuse = |what: String| {
            CoreError::Bundle(format!(
                "The job bundle {} holds the link {}, which {what}. Put the file itself into the bundle, or refer to \
                 it in asset_references.",
                folder.display(),
                entry.path().display()
            ))
        };
        match entry.path().canonicalize() {
            Ok(target) if target.starts_with(folder) => {}
            Ok(target) => return Err(refuse(format!("leads outside, to {}", target.display()))),
            // A link to nothing inside, such as the lock of an editor, shows nothing that is outside.
            Err(err) => match entry.path().read_link() {
                Ok(target) if absolute(&target, entry.path().parent().unwrap_or(folder)).starts_with(folder) => {}
                Ok(target) => return Err(refuse(format!("leads outside, to {}", target.display()))),
                Err(_) => return Err(refuse(format!("cannot be followed: {err}"))),
            },
        }
    }
    Ok(())
}

fn read_parameters(folder: &Path, template: &Document, as_official_client: bool) -> Result<Vec<Parameter>> {
    let origin = format!("the template {}", template.path.display());
    let definitions = match template.value.get("parameterDefinitions") {
        None | Some(Value::Null) => &Vec::new(),
        Some(Value::Array(definitions)) => definitions,
        Some(other) => {
            return Err(CoreError::Bundle(format!("In {origin}, parameterDefinitions is {other}; it must be a list.")));
        }
    };
    let mut found: Vec<Parameter> = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let definition = parameters::with_type_in_capitals(&template.value, definition);
        let parameter = parameters::check_definition(&definition, &origin, false)?;
        if found.iter().any(|known| known["name"] == parameter["name"]) {
            return Err(CoreError::Bundle(format!(
                "In {origin}, the parameter {} is defined twice.",
                parameter["name"]
            )));
        }
        found.push(parameter);
    }
    if let Some(values) = Document::read(folder, "parameter_values")? {
        for (name, value) in read_values(&values)? {
            match found.iter_mut().find(|parameter| text(parameter, "name") == name) {
                Some(parameter) => {
                    let value = if as_official_client { parameters::written_as_text(parameter, value) } else { value };
                    let value =
                        if parameters::is_bare(parameter) { value } else { parameters::coerce(parameter, &value)? };
                    parameter.insert("value".into(), value);
                }
                None => found.push(Map::from_iter([("name".to_owned(), name.into()), ("value".to_owned(), value)])),
            }
        }
    }
    for parameter in &mut found {
        resolve_paths(parameter, folder, parameters::is_expr(&template.value))?;
    }
    let hidden: Vec<&str> = found
        .iter()
        .filter(|parameter| parameter.get("userInterface").is_some_and(|interface| interface["control"] == "HIDDEN"))
        .filter(|parameter| !parameter.contains_key("value") && !parameter.contains_key("default"))
        .map(|parameter| text(parameter, "name"))
        .collect();
    if !hidden.is_empty() {
        return Err(CoreError::Bundle(format!(
            "In {origin}, these hidden parameters have neither value nor default: {}. Nobody can fill them in; give \
             them one.",
            hidden.join(", ")
        )));
    }
    Ok(found)
}

fn read_values(document: &Document) -> Result<Vec<(String, Value)>> {
    let refuse = |what: String| CoreError::Bundle(format!("The parameter values {} {what}.", document.path.display()));
    let shape = "must be {\"parameterValues\": [{\"name\": ..., \"value\": ...}]}";
    let items = match (&document.value, document.value.get("parameterValues")) {
        // A document in which nothing of it stands has no values.
        (Value::Null, _) | (Value::Object(_), None) => return Ok(Vec::new()),
        (_, Some(Value::Array(items))) => items,
        _ => return Err(refuse(shape.to_owned())),
    };
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match (item["name"].as_str(), item.get("value")) {
            (Some(name), Some(value)) if !value.is_null() => values.push((name.to_owned(), value.clone())),
            _ => return Err(refuse(format!("{shape}; this item is not: {item}"))),
        }
    }
    Ok(values)
}

/// Makes the paths of a parameter absolute: defaults are files of the bundle, and relative values lie in it.
fn resolve_paths(parameter: &mut Parameter, folder: &Path, has_uris: bool) -> Result<()> {
    if !parameters::holds_paths(parameter) {
        return Ok(());
    }
    let name = text(parameter, "name").to_owned();
    let (given, what) = match (parameter.get("value"), parameter.get("default")) {
        (Some(value), _) => (value, "value"),
        (None, Some(default)) => (default, "default"),
        (None, None) => return Ok(()),
    };
    if given == "" {
        return Ok(());
    }
    let resolve = |given: &str| {
        if Path::new(given).is_absolute() {
            if what == "value" {
                return Ok(given.to_owned());
            }
            return Err(CoreError::Bundle(format!(
                "The PATH parameter {name:?} has the default {given:?}, which is absolute. Defaults are relative to the \
                 job bundle; give the path in parameter_values instead."
            )));
        }
        let resolved = absolute(Path::new(given), folder);
        if !resolved.starts_with(folder) {
            return Err(CoreError::Bundle(format!(
                "The PATH parameter {name:?} has the {what} {given:?}, which leads outside of the job bundle {}. Use a \
                 path inside, or an absolute one in parameter_values.",
                folder.display()
            )));
        }
        Ok(resolved.to_string_lossy().into_owned())
    };
    let resolved = parameters::with_paths(given.clone(), has_uris, &resolve)?;
    parameter.insert("value".into(), parameters::coerce(parameter, &resolved)?);
    Ok(())
}

impl Format {
    /// The `templateType` of `CreateJob`.
    fn wire_name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        }
    }
}
