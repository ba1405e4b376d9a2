//! From a job bundle to a job that the farm has taken.
//!
//! Everything that can be refused without the network is refused before a byte is read from a file or sent. Nothing
//! here prompts or prints: the caller's callbacks do.

mod known_paths;
mod params;
mod wait;

use std::future::Future;
use std::path::PathBuf;

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::attachments::grouping::{self, Prepared, References};
use crate::attachments::progress::OnProgress;
use crate::attachments::s3::S3Access;
use crate::attachments::upload::{self, Destination, FileSystem, UploadOptions};
use crate::bundle::parameters::{self, Parameter};
use crate::bundle::{AssetReferences, Bundle};
use crate::credentials::{Endpoint, host, is_loopback};
use crate::error::{CoreError, Result};
use crate::openjd::template::{TemplateKind, check, template_error};
use crate::service::{QueueRole, Service};

pub use params::{Params, Submission};

/// The service takes no job with more asset roots.
const MAX_ROOTS: usize = 10;

/// Takes a line for a person.
pub type OnPrint<'a> = Option<&'a (dyn Fn(&str) + Send + Sync)>;
/// Answers a question that comes with its answer by default.
pub type OnConfirm<'a> = Option<&'a (dyn Fn(&str, bool) -> bool + Send + Sync)>;
/// Says whether to go on.
pub type OnContinue<'a> = Option<&'a (dyn Fn() -> bool + Send + Sync)>;

/// How a submission talks to its caller. What is missing is not called.
#[derive(Default)]
pub struct Callbacks<'a> {
    /// A line for a person.
    pub on_print: OnPrint<'a>,
    /// Progress of hashing; `false` cancels.
    pub on_hashing_progress: OnProgress<'a>,
    /// Progress of the upload; `false` cancels.
    pub on_upload_progress: OnProgress<'a>,
    /// A question with its answer by default; `false` declines. Without it the default holds.
    pub on_confirm: OnConfirm<'a>,
    /// Asked before each look at the created job; `false` stops waiting.
    pub on_continue: OnContinue<'a>,
}

impl Callbacks<'_> {
    fn print(&self, line: &str) {
        if let Some(print) = self.on_print {
            print(line);
        }
    }
}

/// Submits a bundle and waits until the farm has created the job; gives its id.
pub fn submit(submission: &Submission, callbacks: &Callbacks<'_>, token: &CancellationToken) -> Result<String> {
    let bundle = Bundle::read(&submission.bundle_dir)?;
    refuse_unbuilt(submission, &bundle, callbacks)?;
    let findings = check(&bundle.template.value, TemplateKind::Job);
    if !findings.is_empty() {
        let what = format!("The template {} breaks the OpenJD rules", bundle.template.path.display());
        return Err(template_error(&what, findings));
    }
    let (template, template_type) = bundle.template_text(submission.name.as_deref())?;

    let lane = Lane::new(token)?;
    let service = lane.run(Service::connect(&submission.target))?;
    let surroundings = lane.run(Surroundings::get(&service, submission))?;
    callbacks.print(&format!("Submitting to the queue {}.", surroundings.queue_name(submission)));

    let (parameters, references) = resolve_parameters(submission, &bundle, &surroundings)?;
    let (members, values) = parameters::split(&parameters)?;

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
    if !references.is_empty() {
        let transfer = Transfer { submission, bundle: &bundle, surroundings: &surroundings, callbacks, token };
        if let Some(attachments) = transfer.run(&lane, &service, &references)? {
            request.insert("attachments".into(), attachments);
        }
    }
    request.extend(submission.limits(&members));

    let job_id = lane.run(service.create_job(&request))?;
    callbacks.print("Waiting for the job to be created...");
    let message = wait::until_created(&lane, &service, submission, &job_id, callbacks)?;
    callbacks.print(&format!("Submitted the job bundle {}.", submission.bundle_dir.display()));
    callbacks.print(&message);
    callbacks.print(&job_id);
    Ok(job_id)
}

/// Names what a caller may ask for and this version does not do, before anything is sent.
fn refuse_unbuilt(submission: &Submission, bundle: &Bundle, callbacks: &Callbacks<'_>) -> Result<()> {
    if submission.debug_snapshot_dir.is_some() {
        return Err(CoreError::Operation(
            "debug_snapshot_dir is not supported: this version submits only. Leave it out, or write the bundle with \
             `shotput export`."
                .into(),
        ));
    }
    for name in ["hooks.yaml", "hooks.json"] {
        let hooks = bundle.folder.join(name);
        if !hooks.is_file() {
            continue;
        }
        if submission.allow_bundle_hooks {
            return Err(CoreError::Operation(format!(
                "The bundle has submission hooks ({}) and settings.allow_bundle_hooks is on, but this version runs no \
                 hooks. Turn the setting off to submit without them.",
                hooks.display()
            )));
        }
        callbacks.print(&format!(
            "The submission hooks in {} are not run: settings.allow_bundle_hooks is off.",
            hooks.display()
        ));
    }
    Ok(())
}

/// One network lane for the whole submission: connections outlive single calls. Between calls nothing runs on it, so
/// that hashing and uploads may use runtimes of their own.
pub(super) struct Lane<'a> {
    runtime: tokio::runtime::Runtime,
    token: &'a CancellationToken,
}

impl<'a> Lane<'a> {
    fn new(token: &'a CancellationToken) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|err| {
            CoreError::Operation(format!("Cannot start network calls: {err}. Close programs, and try again."))
        })?;
        Ok(Self { runtime, token })
    }

    fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.token.cancelled() => Err(canceled()),
                outcome = work => outcome,
            }
        })
    }
}

fn canceled() -> CoreError {
    CoreError::Canceled("The submission was canceled.".into())
}

/// What the farm says about the place that the job goes to.
struct Surroundings {
    queue: Value,
    storage_profile: Option<Value>,
    queue_parameters: Vec<Parameter>,
}

impl Surroundings {
    async fn get(service: &Service, submission: &Submission) -> Result<Self> {
        let (farm_id, queue_id) = (&submission.farm_id, &submission.queue_id);
        let storage_profile = async {
            match &submission.storage_profile_id {
                Some(id) => service.get_storage_profile_for_queue(farm_id, queue_id, id).await.map(Some),
                None => Ok(None),
            }
        };
        let queue_parameters = async {
            match &submission.queue_parameter_definitions {
                Some(given) => given
                    .iter()
                    .map(|definition| parameters::check_definition(definition, "queue_parameter_definitions", false))
                    .collect(),
                None => service.queue_parameter_definitions(farm_id, queue_id).await,
            }
        };
        let (queue, storage_profile, queue_parameters) =
            tokio::try_join!(service.get_queue(farm_id, queue_id), storage_profile, queue_parameters)?;
        Ok(Self { queue, storage_profile, queue_parameters })
    }

    fn queue_name<'a>(&'a self, submission: &'a Submission) -> &'a str {
        self.queue["displayName"].as_str().unwrap_or(&submission.queue_id)
    }

    fn bucket(&self) -> Option<(&str, &str)> {
        let settings = &self.queue["jobAttachmentSettings"];
        Some((settings["s3BucketName"].as_str()?, settings["rootPrefix"].as_str()?))
    }
}

fn resolve_parameters(
    submission: &Submission,
    bundle: &Bundle,
    surroundings: &Surroundings,
) -> Result<(Vec<Parameter>, AssetReferences)> {
    let mut merged = parameters::merge(&surroundings.queue_parameters, &bundle.parameters)?;
    parameters::apply(&mut merged, &submission.job_parameters, &submission.current_dir)?;
    let mut references = bundle.references.clone();
    references.add_parameters(&merged);
    Ok((merged, references))
}

/// The files of a job on their way to the farm.
struct Transfer<'a> {
    submission: &'a Submission,
    bundle: &'a Bundle,
    surroundings: &'a Surroundings,
    callbacks: &'a Callbacks<'a>,
    token: &'a CancellationToken,
}

impl Transfer<'_> {
    /// The `attachments` of `CreateJob`; none when the queue takes no files.
    fn run(&self, lane: &Lane<'_>, service: &Service, references: &AssetReferences) -> Result<Option<Value>> {
        let Some((bucket, root_prefix)) = self.surroundings.bucket() else {
            self.callbacks.print("The queue has no job attachment settings: the job's files are not uploaded.");
            return Ok(None);
        };
        let locations = self.surroundings.storage_profile.as_ref().map(grouping::locations).unwrap_or_default();
        let prepared =
            grouping::prepare(&to_group(references), &locations, self.submission.require_paths_exist, self.token)?;
        for warning in &prepared.warnings {
            self.callbacks.print(warning);
        }
        if prepared.groups.is_empty() {
            return Ok(None);
        }
        if prepared.groups.len() > MAX_ROOTS {
            return Err(too_many_roots(&prepared));
        }
        known_paths::confirm(self.submission, self.bundle, &locations, &prepared, self.callbacks)?;

        let cache_dir = Some(self.submission.cache_dir.as_path());
        let hashed = upload::hash(&prepared, cache_dir, self.callbacks.on_hashing_progress, self.token)?;
        self.callbacks.print(&format!("Hashing summary:\n{}", hashed.statistics));
        let access = lane.run(self.access(service))?;
        let destination = Destination {
            access,
            bucket: bucket.to_owned(),
            root_prefix: root_prefix.to_owned(),
            farm_id: self.submission.farm_id.clone(),
            queue_id: self.submission.queue_id.clone(),
        };
        let options = UploadOptions {
            cache_dir,
            force_s3_check: self.submission.force_s3_check,
            manifest_write_dir: None,
            file_system: if self.submission.virtual_file_system { FileSystem::Virtual } else { FileSystem::Copied },
        };
        let uploaded = upload::upload(&hashed, &destination, &options, self.callbacks.on_upload_progress, self.token)?;
        self.callbacks.print(&format!("Upload summary:\n{}", uploaded.statistics));
        Ok(Some(uploaded.attachments))
    }

    /// The bucket with the rights of the queue's role, pinned to the account that the role belongs to.
    async fn access(&self, service: &Service) -> Result<S3Access> {
        let submission = self.submission;
        let queue_name = self.surroundings.queue_name(submission);
        let role = QueueRole::new(service, &submission.farm_id, &submission.queue_id, queue_name, false);
        // Asked for once here, so that a refusal is told as what it is and not as a failed upload.
        role.credentials().await?;
        let target = service.target();
        let is_local = target.endpoint(Endpoint::Deadline).and_then(host).is_some_and(is_loopback);
        // A local farm without an STS has no account that AWS could tell.
        let owner = if is_local && target.endpoint(Endpoint::Sts).is_none() {
            None
        } else {
            Some(service.caller_account(role.provider()).await?)
        };
        Ok(S3Access { expected_bucket_owner: owner, ..S3Access::of_target_with(target, role.provider())? })
    }
}

fn to_group(references: &AssetReferences) -> References {
    let list = |paths: &std::collections::BTreeSet<PathBuf>| paths.iter().cloned().collect();
    References {
        input_files: list(&references.input_files),
        input_directories: list(&references.input_directories),
        output_directories: list(&references.output_directories),
        referenced_paths: list(&references.referenced_paths),
    }
}

fn too_many_roots(prepared: &Prepared) -> CoreError {
    let roots: Vec<String> = prepared.groups.iter().map(|group| format!("\n  {}", group.root.display())).collect();
    CoreError::Attachments(format!(
        "The job's files lie under {} roots; a job can have at most {MAX_ROOTS}. Move files together, or name their \
         folders as locations of a storage profile. The roots are:{}",
        prepared.groups.len(),
        roots.concat()
    ))
}
