//! Job and environment templates: all findings at once, or a decoded template.

use std::collections::BTreeSet;
use std::sync::Arc;

use openjd_model::{CallerLimits, ModelError, ModelProfile, PathElement};
use serde_json::Value;

use super::document::{self, Place, path_text};
use crate::error::{CoreError, Finding, Result};

/// The extensions that templates may ask for.
pub const EXTENSIONS: [&str; 4] = ["TASK_CHUNKING", "EXPR", "FEATURE_BUNDLE_1", "REDACTED_ENV_VARS"];

/// `specificationVersion` of a job template.
pub const JOB_TEMPLATE_VERSION: &str = "jobtemplate-2023-09";

/// `specificationVersion` of an environment template.
pub const ENVIRONMENT_VERSION: &str = "environment-2023-09";

/// Which rules a document is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateKind {
    /// `jobtemplate-2023-09`
    Job,
    /// `environment-2023-09`
    Environment,
}

impl TemplateKind {
    fn noun(self) -> &'static str {
        match self {
            Self::Job => "job template",
            Self::Environment => "environment template",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Job => JOB_TEMPLATE_VERSION,
            Self::Environment => ENVIRONMENT_VERSION,
        }
    }
}

/// A decoded job template. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JobTemplate {
    pub(super) model: Arc<openjd_model::template::JobTemplate>,
    document: Arc<Value>,
}

impl JobTemplate {
    /// Decodes a document; every finding comes out in one [`CoreError::Template`].
    pub fn decode(document: Value) -> Result<Self> {
        match decode_job(&document) {
            Ok(model) => Ok(Self { model: Arc::new(model), document: Arc::new(document) }),
            Err(findings) => Err(template_error("The job template is not valid", findings)),
        }
    }

    /// The document as it was given.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The name, with its format strings unresolved.
    pub fn name(&self) -> &str {
        self.model.name.raw()
    }

    /// Names of the steps, in order.
    pub fn step_names(&self) -> Vec<&str> {
        self.model.steps.iter().map(|step| step.name.as_str()).collect()
    }

    pub(super) fn profile(&self) -> ModelProfile {
        self.model.profile()
    }
}

/// A decoded environment template. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EnvironmentTemplate {
    pub(super) model: Arc<openjd_model::template::EnvironmentTemplate>,
    document: Arc<Value>,
}

impl EnvironmentTemplate {
    /// Decodes a document; every finding comes out in one [`CoreError::Template`].
    pub fn decode(document: Value) -> Result<Self> {
        match decode_environment(&document) {
            Ok(model) => Ok(Self { model: Arc::new(model), document: Arc::new(document) }),
            Err(findings) => Err(template_error("The environment template is not valid", findings)),
        }
    }

    /// The document as it was given.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Name of the environment.
    pub fn name(&self) -> &str {
        &self.model.environment.name
    }
}

/// Everything in `document` that breaks the rules; empty when it is valid.
pub fn check(document: &Value, kind: TemplateKind) -> Vec<Finding> {
    let outcome = match kind {
        TemplateKind::Job => decode_job(document).map(|_| ()),
        TemplateKind::Environment => decode_environment(document).map(|_| ()),
    };
    outcome.err().unwrap_or_default()
}

/// As [`check`], from text.
pub fn check_text(text: &str, kind: TemplateKind) -> Vec<Finding> {
    match document::parse(text) {
        Ok(document) => check(&document, kind),
        Err(finding) => vec![finding],
    }
}

/// One sentence (or a list) from findings.
pub fn template_error(what: &str, findings: Vec<Finding>) -> CoreError {
    let line = |finding: &Finding| match finding.path.as_str() {
        "" => finding.message.clone(),
        path => format!("{path}: {}", finding.message),
    };
    let message = match findings.as_slice() {
        [one] => format!("{what}. {}", line(one)),
        many => {
            let lines: Vec<String> = many.iter().map(|finding| format!("\n  - {}", line(finding))).collect();
            format!("{what}, with {} errors:{}", many.len(), lines.concat())
        }
    };
    CoreError::Template { message, findings }
}

fn decode_job(document: &Value) -> Result<openjd_model::template::JobTemplate, Vec<Finding>> {
    check_version(document, TemplateKind::Job)?;
    document::decode::<openjd_model::template::JobTemplate>(document)?;
    openjd_model::decode_job_template(document.clone(), Some(&EXTENSIONS), &CallerLimits::default())
        .map_err(|err| model_findings(err, &extensions_of(document)))
}

fn decode_environment(document: &Value) -> Result<openjd_model::template::EnvironmentTemplate, Vec<Finding>> {
    check_version(document, TemplateKind::Environment)?;
    document::decode::<openjd_model::template::EnvironmentTemplate>(document)?;
    openjd_model::decode_environment_template(document.clone(), Some(&EXTENSIONS))
        .map_err(|err| model_findings(err, &extensions_of(document)))
}

fn extensions_of(document: &Value) -> Vec<String> {
    let names = document.get("extensions").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_string)).collect()
}

fn check_version(document: &Value, kind: TemplateKind) -> Result<(), Vec<Finding>> {
    let finding = |path: &str, message: String| vec![Finding { path: path.into(), message }];
    if let Err(finding) = document::mapping(document.clone()) {
        return Err(vec![finding]);
    }
    let wanted = kind.version();
    let noun = kind.noun();
    match document.get("specificationVersion") {
        None => Err(finding(
            "",
            format!(
                "missing field `specificationVersion`; for {} {noun} write `specificationVersion: {wanted}`",
                article(noun)
            ),
        )),
        Some(Value::String(version)) if version == wanted => Ok(()),
        Some(other) => {
            let shown = other.as_str().map_or_else(|| other.to_string(), str::to_string);
            let other_kind = match (kind, shown.as_str()) {
                (TemplateKind::Job, ENVIRONMENT_VERSION) => " (this is an environment template)",
                (TemplateKind::Environment, JOB_TEMPLATE_VERSION) => " (this is a job template)",
                _ => "",
            };
            Err(finding(
                "specificationVersion",
                format!("`{shown}` is not known for {} {noun}{other_kind}; write `{wanted}`", article(noun)),
            ))
        }
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with('e') { "an" } else { "a" }
}

/// Findings out of whatever the model raised.
pub(super) fn model_findings(err: ModelError, extensions: &[String]) -> Vec<Finding> {
    match err {
        ModelError::ModelValidation(errors) => errors
            .errors
            .into_iter()
            .map(|error| Finding { path: path_text(&places(&error.path)), message: explain(error.message, extensions) })
            .collect(),
        // The job's own checks join their sentences by newlines.
        ModelError::DecodeValidation(text) | ModelError::Compatibility(text) => {
            text.lines().map(parameter_finding).collect()
        }
        other => vec![Finding { path: String::new(), message: other.to_string() }],
    }
}

fn places(path: &[PathElement]) -> Vec<Place> {
    path.iter()
        .map(|element| match element {
            PathElement::Field(name) => Place::Key(name.clone()),
            PathElement::Index(index) => Place::Index(*index),
        })
        .collect()
}

/// `Unsupported extension names: X` says nothing about what would be supported.
fn explain(message: String, extensions: &[String]) -> String {
    if !message.starts_with("Unsupported extension names") {
        return message;
    }
    let known: BTreeSet<&str> = EXTENSIONS.into_iter().collect();
    let unknown: BTreeSet<&str> = extensions.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
    let unknown: Vec<&str> = unknown.into_iter().collect();
    let known: Vec<&str> = known.into_iter().collect();
    format!("Unsupported extension names: {}. Supported are {}.", unknown.join(", "), known.join(", "))
}

/// A sentence of the job's checks; those about one parameter begin with ``Parameter 'NAME': ``.
fn parameter_finding(line: &str) -> Finding {
    let about = line.strip_prefix("Parameter '").and_then(|rest| rest.split_once("': "));
    match about {
        Some((name, message)) => Finding { path: name.to_string(), message: message.to_string() },
        None => Finding { path: String::new(), message: line.to_string() },
    }
}
