//! From a job bundle to a job that the farm has taken.
//!
//! Everything that can be refused without the network is refused before a byte is read from a file or sent. Nothing
//! here prompts or prints: the caller's callbacks do.

mod chunks;
mod debug_snapshot;
mod hooks;
mod known_paths;
mod limits;
mod params;
mod pause;
mod plan;
mod preview;
mod wait;

use std::borrow::Cow;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::attachments::copies;
use crate::attachments::grouping::{self, References};
use crate::attachments::progress::{OnProgress, Progress, Status, Tracker};
use crate::attachments::s3::S3Access;
use crate::attachments::upload::{self, Destination, FileSystem, Hashed, UploadOptions, Uploaded};
use crate::bundle::parameters::{self, Parameter};
use crate::bundle::{AssetReferences, Bundle};
use crate::error::{CoreError, Result};
use crate::service::Service;

use debug_snapshot::DebugSnapshot;
use hooks::{Facts, Hooks};
use plan::Plan;

pub use params::{Params, Submission};
pub use pause::PauseSwitch;
pub use preview::{About, Preview, Problem, preview};

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
    /// Holds the submission while it is switched on.
    pub pause: Option<&'a PauseSwitch>,
}

impl Callbacks<'_> {
    fn print(&self, line: &str) {
        if let Some(print) = self.on_print {
            print(line);
        }
    }

    /// Waits while the submission is paused; a cancel ends the wait.
    fn hold(&self, token: &CancellationToken) {
        if let Some(pause) = self.pause {
            pause.hold(token);
        }
    }

    /// A progress callback at which the submission can be held.
    fn holding<'b>(
        &'b self,
        on_progress: OnProgress<'b>,
        token: &'b CancellationToken,
    ) -> impl Fn(Progress) -> bool + Send + Sync + 'b {
        move |progress| {
            self.hold(token);
            on_progress.is_none_or(|report| report(progress))
        }
    }
}

/// Submits a bundle and waits until the farm has created the job; gives its id, or none for a debug snapshot.
pub fn submit(submission: &Submission, callbacks: &Callbacks<'_>, token: &CancellationToken) -> Result<Option<String>> {
    let started = Instant::now();
    let outcome = submit_untimed(submission, callbacks, token);
    submission.recorder.record_latency("create_job_from_job_bundle", started.elapsed());
    outcome
}

fn submit_untimed(
    submission: &Submission,
    callbacks: &Callbacks<'_>,
    token: &CancellationToken,
) -> Result<Option<String>> {
    let bundle = Bundle::read_as(&submission.bundle_dir, submission.as_official_client)?;
    let hooks = Hooks::find(submission, &bundle, callbacks)?;
    hooks.confirm(submission, callbacks)?;
    plan::refuse_invalid(&bundle)?;
    // A template that is too long is refused before anybody is asked anything.
    bundle.template_text(submission.name.as_deref())?;

    let lane = Lane::new(token)?;
    let service = lane.run(Service::connect(&submission.target))?.recorded_by(&submission.recorder);
    let surroundings = lane.run(Surroundings::get(&service, submission))?;
    callbacks.print(&format!("Submitting to the queue {}.", surroundings.queue_name(submission)));

    let mut plan = Plan::make(Cow::Borrowed(submission), bundle, &surroundings)?;
    if hooks.run_before() {
        let answers = hooks.before(&lane, &facts(&plan, None), callbacks)?;
        plan = plan.changed_by(answers, &surroundings, callbacks)?;
    }
    for name in &plan.undefined {
        callbacks.print(&format!(
            "The value of the parameter {name:?} is left out: neither the template nor an environment of the queue \
             defines it."
        ));
    }
    chunks::fit(&mut plan, callbacks)?;
    let transfer = Transfer { plan: &plan, surroundings: &surroundings, callbacks, token };
    match transfer.run(&lane, &service)? {
        Some(attachments) => {
            plan.request.insert("attachments".into(), attachments);
        }
        None => transfer.report_nothing()?,
    }
    submission.recorder.record("submission", json!({ "submitter_name": submission.submitter_name }));
    if let Some(folder) = &submission.debug_snapshot_dir {
        write_snapshot(folder, &plan, &surroundings)?;
        callbacks.print(&format!("The debug snapshot is in {}. No job was created.", folder.display()));
        return Ok(None);
    }

    callbacks.hold(token);
    let job_id = lane.run(service.create_job(&plan.request))?;
    callbacks.print("Waiting for the job to be created...");
    let created = wait::until_created(&lane, &service, submission, &job_id, callbacks);
    submission.recorder.record_outcome("create_job", &created);
    callbacks.print(&format!("Submitted the job bundle {}.", submission.bundle_dir.display()));
    callbacks.print(&created?);
    callbacks.print(&job_id);
    hooks.after(&lane, &facts(&plan, Some(&job_id)), callbacks)?;
    Ok(Some(job_id))
}

fn facts<'a>(plan: &'a Plan<'_>, job_id: Option<&'a str>) -> Facts<'a> {
    Facts {
        submission: &plan.submission,
        job_name: plan.job_name(),
        parameters: plan.values(),
        asset_references: plan.references.to_document(),
        payload: plan.request.clone(),
        job_id,
    }
}

fn write_snapshot(folder: &Path, plan: &Plan<'_>, surroundings: &Surroundings) -> Result<()> {
    DebugSnapshot {
        request: &plan.request,
        queue: &surroundings.queue,
        storage_profile: surroundings.storage_profile.as_ref(),
        bucket: surroundings.bucket(),
    }
    .write(folder)
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
        // All of them are waited for: of a queue that is not there, the question for the queue itself says so best.
        let (queue, storage_profile, queue_parameters) =
            tokio::join!(service.get_queue(farm_id, queue_id), storage_profile, queue_parameters);
        Ok(Self { queue: queue?, storage_profile: storage_profile?, queue_parameters: queue_parameters? })
    }

    fn queue_name<'a>(&'a self, submission: &'a Submission) -> &'a str {
        self.queue["displayName"].as_str().unwrap_or(&submission.queue_id)
    }

    fn bucket(&self) -> Option<(&str, &str)> {
        let settings = &self.queue["jobAttachmentSettings"];
        Some((settings["s3BucketName"].as_str()?, settings["rootPrefix"].as_str()?))
    }
}

/// The files of a job on their way to the farm.
struct Transfer<'a> {
    plan: &'a Plan<'a>,
    surroundings: &'a Surroundings,
    callbacks: &'a Callbacks<'a>,
    token: &'a CancellationToken,
}

impl Transfer<'_> {
    /// The `attachments` of `CreateJob`; none when the job has no files, or the queue takes none.
    fn run(&self, lane: &Lane<'_>, service: &Service) -> Result<Option<Value>> {
        let submission: &Submission = &self.plan.submission;
        if self.plan.references.is_empty() {
            return Ok(None);
        }
        let Some((bucket, root_prefix)) = self.surroundings.bucket() else {
            self.callbacks.print("The queue has no job attachment settings: the job's files are not uploaded.");
            return Ok(None);
        };
        let locations = self.surroundings.storage_profile.as_ref().map(grouping::locations).unwrap_or_default();
        let prepared = grouping::prepare(
            &to_group(&self.plan.references),
            &locations,
            submission.require_paths_exist,
            self.token,
        )?;
        for warning in &prepared.warnings {
            self.callbacks.print(warning);
        }
        if prepared.groups.is_empty() {
            return Ok(None);
        }
        limits::check_groups(&prepared)?;
        known_paths::confirm(
            submission,
            &self.plan.bundle,
            &self.plan.parameters,
            &locations,
            &prepared,
            self.callbacks,
        )?;

        let cache_dir = Some(submission.cache_dir.as_path());
        let recorder = &submission.recorder;
        self.callbacks.hold(self.token);
        let on_hashing = self.callbacks.holding(self.callbacks.on_hashing_progress, self.token);
        let hashed = upload::hash(&prepared, cache_dir, Some(&on_hashing), self.token)?;
        recorder.record("job_attachments.hashing_summary", json!(hashed.statistics));
        self.callbacks.print(&format!("Hashing summary:\n{}", hashed.statistics));
        self.callbacks.hold(self.token);
        let uploaded = match &submission.debug_snapshot_dir {
            Some(folder) => {
                let copied = self.copy(&hashed, folder);
                recorder.record_outcome("asset_snapshot", &copied);
                copied?
            }
            None => {
                let uploaded = self.upload(&hashed, lane, service, bucket, root_prefix);
                recorder.record_outcome("asset_upload", &uploaded);
                uploaded?
            }
        };
        recorder.record("job_attachments.upload_summary", json!(uploaded.statistics));
        self.callbacks.print(&format!("Upload summary:\n{}", uploaded.statistics));
        Ok(Some(uploaded.attachments))
    }

    /// One report per phase for a job without files, so that what shows the progress comes to its end.
    fn report_nothing(&self) -> Result<()> {
        let callbacks = self.callbacks;
        for (status, on_progress) in [
            (Status::PreparingInProgress, callbacks.on_hashing_progress),
            (Status::UploadInProgress, callbacks.on_upload_progress),
        ] {
            Tracker::new(status, 0, 0, on_progress, self.token).finish()?;
        }
        Ok(())
    }

    fn file_system(&self) -> FileSystem {
        if self.plan.submission.virtual_file_system { FileSystem::Virtual } else { FileSystem::Copied }
    }

    fn copy(&self, hashed: &Hashed, folder: &Path) -> Result<Uploaded> {
        let (farm_id, queue_id) = (&self.plan.submission.farm_id, &self.plan.submission.queue_id);
        let on_upload = self.callbacks.holding(self.callbacks.on_upload_progress, self.token);
        copies::copy(hashed, folder, (farm_id, queue_id), self.file_system(), Some(&on_upload), self.token)
    }

    fn upload(
        &self,
        hashed: &Hashed,
        lane: &Lane<'_>,
        service: &Service,
        bucket: &str,
        root_prefix: &str,
    ) -> Result<Uploaded> {
        let submission: &Submission = &self.plan.submission;
        let name = self.surroundings.queue_name(submission);
        let destination = Destination {
            access: lane.run(S3Access::of_queue(service, &submission.farm_id, &submission.queue_id, name, false))?,
            bucket: bucket.to_owned(),
            root_prefix: root_prefix.to_owned(),
            data_prefix: None,
            farm_id: submission.farm_id.clone(),
            queue_id: submission.queue_id.clone(),
        };
        let options = UploadOptions {
            cache_dir: Some(submission.cache_dir.as_path()),
            force_s3_check: submission.force_s3_check,
            manifest_write_dir: None,
            file_system: self.file_system(),
        };
        let on_upload = self.callbacks.holding(self.callbacks.on_upload_progress, self.token);
        upload::upload(hashed, &destination, &options, Some(&on_upload), self.token)
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
