//! What a submission would ask and send, and what would stop it, before anything is hashed or sent.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::plan::{self, Plan};
use super::{Callbacks, Submission, Surroundings, chunks, known_paths, limits, to_group};
use crate::attachments::grouping::{self, Prepared};
use crate::bundle::parameters::{self, Parameter};
use crate::bundle::{AssetReferences, Bundle};
use crate::error::{CoreError, Result};

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// The bundle's documents.
    Bundle,
    /// Parameters and their values.
    Parameters,
    /// Figures of the service that the job exceeds.
    Limits,
    /// Input files.
    Files,
}

/// What would stop a submission.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// What it is about.
    pub about: About,
    /// The sentence that the submission would end with.
    pub message: String,
}

/// Files under one root.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Root {
    /// The folder.
    pub root: PathBuf,
    /// The location of the storage profile that it lies in.
    pub location_name: Option<String>,
    /// Files that would be hashed.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Folders that the job writes into.
    pub outputs: usize,
}

/// The submission as far as it came.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Preview {
    /// The template's document.
    pub template: Value,
    /// Characters of the template as it would be sent.
    pub template_characters: usize,
    /// Parameters of queue and bundle with their values.
    pub parameters: Vec<Parameter>,
    /// Where the files lie.
    pub roots: Vec<Root>,
    /// Files outside of the known folders: somebody is asked about them.
    pub unknown_files: usize,
    /// The folders that these lie in, without those that lie in another one.
    pub unknown_folders: Vec<PathBuf>,
    /// Sentences about files that would not be sent.
    pub warnings: Vec<String>,
    /// Sentences about what the submission would change in the job.
    pub changes: Vec<String>,
    /// What would stop it.
    pub problems: Vec<Problem>,
}

impl Preview {
    fn note<T>(&mut self, about: About, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(err @ CoreError::Canceled(_)) => Err(err),
            Err(err) => {
                self.problems.push(Problem { about, message: err.to_string() });
                Ok(None)
            }
        }
    }
}

/// Goes through a submission up to its first byte. Without the queue's parameters in `submission`, values that only the
/// queue could define are left alone.
///
/// # Errors
/// `Canceled` by the token; what would stop the submission is among the problems.
pub fn preview(submission: &Submission, storage_profile: Option<&Value>, token: &CancellationToken) -> Result<Preview> {
    let mut preview = Preview::default();
    let Some(mut bundle) = preview.note(About::Bundle, Bundle::read(&submission.bundle_dir))? else {
        return Ok(preview);
    };
    preview.template = bundle.template.value.clone();
    preview.note(About::Bundle, plan::refuse_invalid(&bundle))?;
    let references = match preview.note(About::Limits, bundle.template_text(submission.name.as_deref()))? {
        Some((text, _)) => {
            preview.template_characters = text.chars().count();
            planned(&mut preview, submission, &mut bundle)?
        }
        None => known(&bundle),
    };
    let locations = storage_profile.map(grouping::locations).unwrap_or_default();
    let prepared = grouping::prepare(&to_group(&references), &locations, submission.require_paths_exist, token);
    if let Some(prepared) = preview.note(About::Files, prepared)? {
        preview.note(About::Limits, limits::check_groups(&prepared))?;
        // Without a plan there are those of the bundle.
        let parameters = if preview.parameters.is_empty() { &bundle.parameters } else { &preview.parameters };
        let unknown = known_paths::unknown_files(submission, &bundle, parameters, &locations, &prepared);
        preview.unknown_files = unknown.len();
        let folders = unknown.iter().filter_map(|path| path.parent()).map(Path::to_path_buf).collect();
        preview.unknown_folders = known_paths::outermost(folders);
        preview.roots = roots(&prepared);
        preview.warnings = prepared.warnings;
    }
    Ok(preview)
}

/// The references of a job whose parameters are not settled.
fn known(bundle: &Bundle) -> AssetReferences {
    let mut known = bundle.references.clone();
    known.add_parameters(&bundle.parameters, bundle.has_uris());
    known
}

/// Fills in the parameters; the references of the whole job, or of what is known of it.
fn planned(preview: &mut Preview, submission: &Submission, bundle: &mut Bundle) -> Result<AssetReferences> {
    let definitions: Result<Vec<Parameter>> = match &submission.queue_parameter_definitions {
        Some(given) => given
            .iter()
            .map(|definition| parameters::check_definition(definition, "queue_parameter_definitions", false))
            .collect(),
        None => {
            bundle.parameters.retain(|parameter| {
                !parameters::is_bare(parameter) || parameters::text(parameter, "name").contains(':')
            });
            Ok(Vec::new())
        }
    };
    let Some(queue_parameters) = preview.note(About::Parameters, definitions)? else { return Ok(known(bundle)) };
    let surroundings = Surroundings { queue: json!({}), storage_profile: None, queue_parameters };
    let mut plan = match Plan::make(Cow::Borrowed(submission), bundle.clone(), &surroundings) {
        Ok(plan) => plan,
        Err(err) => {
            // What is wrong with parameters is the bundle's fault; numbers and lengths are the service's limits.
            let about = if matches!(err, CoreError::Bundle(_)) { About::Parameters } else { About::Limits };
            preview.note::<()>(about, Err(err))?;
            return Ok(known(bundle));
        }
    };
    let said = Mutex::new(Vec::new());
    let print = |line: &str| said.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(line.to_owned());
    let fitted = chunks::fit(&mut plan, &Callbacks { on_print: Some(&print), ..Callbacks::default() });
    preview.note(About::Limits, fitted)?;
    preview.changes = said.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    preview.template = plan.bundle.template.value;
    preview.parameters = plan.parameters;
    Ok(plan.references)
}

fn roots(prepared: &Prepared) -> Vec<Root> {
    let root = |group: &grouping::Group| Root {
        root: group.root.clone(),
        location_name: group.location_name.clone(),
        files: group.inputs.len(),
        bytes: group.inputs.iter().map(|input| input.size).sum(),
        outputs: group.outputs.len(),
    };
    prepared.groups.iter().map(root).collect()
}
