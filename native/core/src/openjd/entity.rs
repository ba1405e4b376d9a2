//! What a worker gets from the service (`BatchGetJobEntity`), made runnable.
//!
//! The service hands out single steps and environments without the template they came from. Each is put into the smallest
//! template that can hold it, with the job's parameters declared, so that it passes the same rules as a whole one.

use std::sync::Arc;

use openjd_model::types::JobParameterValues;
use serde_json::{Value, json};

use super::job::{Environment, Step};
use super::template::{
    self, ENVIRONMENT_VERSION, EnvironmentTemplate, JOB_TEMPLATE_VERSION, JobTemplate, model_findings, template_error,
};
use crate::error::{CoreError, Finding, Result};

/// A step from `stepDetails.template`, the parameters of its job put in.
///
/// `extensions` are the job's; `None` allows all of [`template::EXTENSIONS`]. `schema_version` is `stepDetails.schemaVersion`.
/// Findings have their paths in the step's template.
pub fn step(
    template: &Value,
    parameters: &JobParameterValues,
    schema_version: &str,
    extensions: Option<&[String]>,
    job_name: Option<&str>,
) -> Result<Step> {
    known_version(schema_version, &[JOB_TEMPLATE_VERSION])?;
    let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
    let what = format!("The template of the step '{name}' is not valid");
    let mut step = template.clone();
    if let Some(map) = step.as_object_mut() {
        // They name steps that are not here; the service has seen to them.
        map.remove("dependencies");
    }
    let mut document = json!({
        "specificationVersion": JOB_TEMPLATE_VERSION,
        "name": "job",
        "steps": [step],
    });
    declare(&mut document, parameters, extensions);
    let decoded = JobTemplate::decode(document).map_err(|err| within(err, "steps[0]", &what))?;
    let mut model = (*decoded.model).clone();
    if let Some(job_name) = job_name {
        model.name = openjd_expr::format_string::FormatString::new(job_name)
            .map_err(|err| CoreError::Session(format!("The job's name '{job_name}' cannot be used: {err}")))?;
    }
    let profile = Arc::new(decoded.profile());
    let context = openjd_model::ValidationContext::from_profile((*profile).clone());
    let job = openjd_model::create_job(&model, parameters, &context)
        .map_err(|err| template_error(&what, model_findings(err, &[])))?;
    Step::new(&job.steps[0], &profile)
}

/// An environment from `environmentDetails.template`, the parameters of its job put in.
pub fn environment(
    template: &Value,
    parameters: &JobParameterValues,
    schema_version: &str,
    extensions: Option<&[String]>,
) -> Result<Environment> {
    known_version(schema_version, &[JOB_TEMPLATE_VERSION, ENVIRONMENT_VERSION])?;
    let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
    let what = format!("The template of the environment '{name}' is not valid");
    let mut document = json!({ "specificationVersion": ENVIRONMENT_VERSION, "environment": template });
    declare(&mut document, parameters, extensions);
    let decoded = EnvironmentTemplate::decode(document).map_err(|err| within(err, "environment", &what))?;
    let symbols =
        openjd_model::build_symbol_table(parameters).map_err(|err| template_error(&what, model_findings(err, &[])))?;
    let model = openjd_model::convert_environment_with_symtab(&decoded.model.environment, Some(&symbols));
    let extensions = decoded.model.extensions.iter().flatten().filter_map(|name| name.as_str().parse().ok()).collect();
    let profile = openjd_model::ModelProfile::current().with_extensions(extensions);
    Ok(Environment { model: Arc::new(model), profile: Arc::new(profile) })
}

fn known_version(version: &str, known: &[&str]) -> Result<()> {
    if known.contains(&version) {
        return Ok(());
    }
    Err(CoreError::Session(format!(
        "The schema version '{version}' is not supported. Supported: {}.",
        known.join(", ")
    )))
}

fn declare(document: &mut Value, parameters: &JobParameterValues, extensions: Option<&[String]>) {
    let Some(map) = document.as_object_mut() else { return };
    let extensions: Vec<&str> = match extensions {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => template::EXTENSIONS.to_vec(),
    };
    if !extensions.is_empty() {
        map.insert("extensions".into(), json!(extensions));
    }
    if !parameters.is_empty() {
        let mut names: Vec<_> = parameters.iter().collect();
        names.sort_by_key(|(name, _)| name.as_str());
        let definitions: Vec<Value> =
            names.iter().map(|(name, value)| json!({"name": name, "type": value.param_type.as_spec_str()})).collect();
        map.insert("parameterDefinitions".into(), Value::Array(definitions));
    }
}

/// Findings with their paths below `root`, as if the part were the document.
fn within(err: CoreError, root: &str, what: &str) -> CoreError {
    let CoreError::Template { findings, .. } = err else { return err };
    let findings = findings
        .into_iter()
        .map(|finding| {
            let path = finding.path.strip_prefix(root).map(|rest| rest.trim_start_matches(" -> ").to_string());
            Finding { path: path.unwrap_or(finding.path), message: finding.message }
        })
        .collect();
    template_error(what, findings)
}
