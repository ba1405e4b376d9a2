//! What a submission asks of the farm: the members of `CreateJob`, and the files that belong to them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Callbacks, Submission, Surroundings, limits};
use crate::bundle::documents::{Document, Format, parse_yaml};
use crate::bundle::parameters::{self, Parameter, text};
use crate::bundle::{AssetReferences, Bundle, absolute};
use crate::error::{CoreError, Result};
use crate::openjd::template::{TemplateKind, check, template_error};

/// Members of the request that a hook may change.
const CHANGEABLE: &[&str] =
    &["priority", "targetTaskRunStatus", "maxFailedTasksCount", "maxRetriesPerTask", "maxWorkerCount"];

/// Everything that is known before files are looked at.
pub(super) struct Plan<'a> {
    /// What was asked for, with what hooks changed.
    pub(super) submission: Cow<'a, Submission>,
    pub(super) bundle: Bundle,
    pub(super) parameters: Vec<Parameter>,
    /// Names of values that were given and that nothing defines.
    pub(super) undefined: Vec<String>,
    pub(super) references: AssetReferences,
    /// The members of `CreateJob`, without the attachments.
    pub(super) request: Map<String, Value>,
}

impl<'a> Plan<'a> {
    /// Puts bundle, queue and caller together.
    pub(super) fn make(submission: Cow<'a, Submission>, bundle: Bundle, surroundings: &Surroundings) -> Result<Self> {
        let (template, template_type) = bundle.template_text(submission.name.as_deref())?;
        let mut merged = parameters::merge(&surroundings.queue_parameters, &bundle.parameters)?;
        let mut given = submission.job_parameters.clone();
        let mut undefined = Vec::new();
        if submission.as_official_client {
            undefined = parameters::loosen(&mut merged, &mut given);
        }
        parameters::apply(&mut merged, &given, &submission.current_dir, bundle.has_uris())?;
        let mut references = bundle.references.clone();
        references.add_parameters(&merged, bundle.has_uris());
        let (members, values) = parameters::split(&merged)?;
        let mut request = Map::from_iter([
            ("farmId".to_owned(), submission.farm_id.clone().into()),
            ("queueId".to_owned(), submission.queue_id.clone().into()),
            ("template".to_owned(), template.into()),
            ("templateType".to_owned(), template_type.into()),
            ("priority".to_owned(), 50.into()),
        ]);
        if let Some(profile) = &submission.storage_profile_id {
            request.insert("storageProfileId".into(), profile.clone().into());
        }
        if !values.is_empty() {
            request.insert("parameters".into(), values.into());
        }
        request.extend(submission.limits(&members));
        limits::check_request(&request)?;
        Ok(Self { submission, bundle, parameters: merged, undefined, references, request })
    }

    /// The job's name.
    pub(super) fn job_name(&self) -> &str {
        let of_template = self.bundle.template.value.get("name").and_then(Value::as_str);
        self.submission.name.as_deref().or(of_template).unwrap_or_default()
    }

    /// Values by name.
    pub(super) fn values(&self) -> Map<String, Value> {
        let pair = |parameter: &Parameter| {
            (text(parameter, "name").to_owned(), parameter.get("value").cloned().unwrap_or_default())
        };
        self.parameters.iter().map(pair).collect()
    }

    /// The plan with what hooks answered, and with what they changed in the bundle's folder.
    pub(super) fn changed_by(
        self,
        mut answers: Map<String, Value>,
        surroundings: &Surroundings,
        callbacks: &Callbacks<'_>,
    ) -> Result<Self> {
        let mut submission = self.submission.into_owned();
        let mut bundle = Bundle::read_as(&self.bundle.folder, submission.as_official_client)?;
        if let Some(template) = answers.remove("template") {
            let template = template_of(&bundle, template)?;
            bundle = bundle.with_template(template)?;
        }
        let mut more = AssetReferences::default();
        for (member, value) in answers {
            match (member.as_str(), value) {
                ("parameters", Value::Object(values)) => add_values(&mut submission, &bundle, values)?,
                ("attachments", Value::Object(attachments)) => add_references(&mut more, &attachments, &bundle)?,
                (name, value) if CHANGEABLE.contains(&name) && (value.is_i64() || value.is_string()) => {
                    submission.asked.insert(member, value);
                }
                (name, value) if CHANGEABLE.contains(&name) || ["parameters", "attachments"].contains(&name) => {
                    return Err(refuse(format!("{name} as {value}")));
                }
                (name, _) => callbacks.print(&format!("A submission hook answered {name}, which cannot be changed.")),
            }
        }
        refuse_invalid(&bundle)?;
        let mut plan = Plan::make(Cow::Owned(submission), bundle, surroundings)?;
        plan.references.extend(more);
        Ok(plan)
    }
}

/// Refuses a bundle whose template breaks the OpenJD rules.
pub(super) fn refuse_invalid(bundle: &Bundle) -> Result<()> {
    let findings = check(&bundle.template.value, TemplateKind::Job);
    if findings.is_empty() {
        return Ok(());
    }
    Err(template_error(&format!("The template {} breaks the OpenJD rules", bundle.template.path.display()), findings))
}

fn refuse(what: String) -> CoreError {
    CoreError::Operation(format!("A submission hook answered {what}, which cannot be used. Correct the hook."))
}

fn template_of(bundle: &Bundle, answer: Value) -> Result<Document> {
    let path = bundle.template.path.clone();
    let text = match answer {
        Value::String(text) => text,
        value @ Value::Object(_) => {
            return Ok(Document { path, format: Format::Json, text: value.to_string(), value });
        }
        other => return Err(refuse(format!("template as {other}"))),
    };
    if let Ok(value) = serde_json::from_str(&text) {
        return Ok(Document { path, format: Format::Json, text, value });
    }
    let value = parse_yaml(&text).map_err(|err| refuse(format!("a template that is not YAML ({err})")))?;
    Ok(Document { path, format: Format::Yaml, text, value })
}

/// What the caller asked for comes before what a hook answers.
fn add_values(submission: &mut Submission, bundle: &Bundle, values: Map<String, Value>) -> Result<()> {
    let mut all: Vec<(String, Value)> = Vec::new();
    for (name, value) in values {
        if submission.job_parameters.iter().any(|(given, _)| *given == name) {
            continue;
        }
        let known = bundle.parameters.iter().find(|known| text(known, "name") == name);
        let paths = known.map(|known| parameters::paths(known, &value, bundle.has_uris())).unwrap_or_default();
        // A hook has no folder of the caller's that a relative path could be meant in.
        if let Some(path) = paths.iter().find(|path| Path::new(path).is_relative()) {
            return Err(refuse(format!("the relative path {path:?} for the parameter {name:?}; it must be absolute")));
        }
        all.push((name, value));
    }
    all.append(&mut submission.job_parameters);
    submission.job_parameters = all;
    Ok(())
}

fn add_references(more: &mut AssetReferences, attachments: &Map<String, Value>, bundle: &Bundle) -> Result<()> {
    let Some(lists) = attachments.get("assetReferences") else { return Ok(()) };
    let paths = |member: &str| -> Result<Vec<PathBuf>> {
        let items = match lists.get(member) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(refuse(format!("{member} as {other}"))),
        };
        let path = |item: &Value| {
            let text = item.as_str().filter(|text| !text.is_empty());
            text.map(|text| absolute(Path::new(text), &bundle.folder))
                .ok_or_else(|| refuse(format!("{item} in {member}")))
        };
        items.iter().map(path).collect()
    };
    more.input_files.extend(paths("inputFilenames")?);
    more.input_directories.extend(paths("inputDirectories")?);
    more.output_directories.extend(paths("outputDirectories")?);
    more.referenced_paths.extend(paths("referencedPaths")?);
    Ok(())
}
