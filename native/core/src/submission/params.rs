//! What a caller may ask of a submission, and what it comes to with the configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::chunks;
use crate::bundle::absolute;
use crate::config::{self, Config};
use crate::credentials::Target;
use crate::error::{CoreError, Result};
use crate::telemetry::Recorder;

/// The environment variable with the folder of hooks that run with every submission.
const HOOKS_VARIABLE: &str = "DEADLINE_HOOKS_DIR";

/// The parameters of a call, as they come from Python. Unknown members are left alone, `None` is absent.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct Params {
    /// The bundle's folder. Required.
    pub job_bundle_dir: Option<PathBuf>,
    /// `[{"name", "value"}]`, over the values of the bundle.
    pub job_parameters: Option<Value>,
    /// In place of the template's name.
    pub name: Option<String>,
    /// 0 to 100, by default 50.
    pub priority: Option<i64>,
    /// How many tasks may fail before the job fails.
    pub max_failed_tasks_count: Option<i64>,
    /// How often a task is tried again.
    pub max_retries_per_task: Option<i64>,
    /// How many workers may work on the job; -1 is no limit.
    pub max_worker_count: Option<i64>,
    /// `READY` or `SUSPENDED`.
    pub target_task_run_status: Option<String>,
    /// `COPIED` or `VIRTUAL`.
    pub job_attachments_file_system: Option<String>,
    /// Whether missing inputs are an error.
    pub require_paths_exist: Option<bool>,
    /// Who submits, by default `Custom`.
    pub submitter_name: Option<String>,
    /// Of which version.
    pub submitter_version: Option<String>,
    /// Whether a person sits at a window: questions are asked even with `auto_accept`.
    pub from_gui: Option<bool>,
    /// Folders whose files may be uploaded without a question.
    pub known_asset_paths: Option<Vec<PathBuf>>,
    /// Whether questions are answered by their default.
    pub auto_accept: Option<bool>,
    /// Whether to do as the official client where it lets more pass or asks more.
    pub as_official_client: Option<bool>,
    /// Look for every object in the store, whatever the cache says.
    pub force_s3_check: Option<bool>,
    /// Write a snapshot instead of submitting.
    pub debug_snapshot_dir: Option<PathBuf>,
    /// The queue's parameter definitions, when the caller has them already.
    pub queue_parameter_definitions: Option<Vec<Value>>,
    /// How many tasks the farm takes in one job; by default what the service's model can count.
    pub max_tasks: Option<u64>,
    /// Seconds to wait for the job to be created, by default 300.
    pub create_timeout: Option<f64>,
    /// In place of the target's farm.
    pub farm_id: Option<String>,
    /// In place of the target's queue.
    pub queue_id: Option<String>,
    /// In place of the target's storage profile.
    pub storage_profile_id: Option<String>,
}

impl Params {
    /// The names of all members.
    pub const MEMBERS: &'static [&'static str] = &[
        "job_bundle_dir",
        "job_parameters",
        "name",
        "priority",
        "max_failed_tasks_count",
        "max_retries_per_task",
        "max_worker_count",
        "target_task_run_status",
        "job_attachments_file_system",
        "require_paths_exist",
        "submitter_name",
        "submitter_version",
        "from_gui",
        "known_asset_paths",
        "auto_accept",
        "as_official_client",
        "force_s3_check",
        "debug_snapshot_dir",
        "queue_parameter_definitions",
        "max_tasks",
        "create_timeout",
        "farm_id",
        "queue_id",
        "storage_profile_id",
    ];
}

/// A submission with everything resolved.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The bundle's folder.
    pub bundle_dir: PathBuf,
    /// Where it goes.
    pub target: Target,
    /// The farm.
    pub farm_id: String,
    /// The queue.
    pub queue_id: String,
    /// The storage profile of this machine.
    pub storage_profile_id: Option<String>,
    /// The caller's values, over those of the bundle.
    pub job_parameters: Vec<(String, Value)>,
    /// In place of the template's name.
    pub name: Option<String>,
    /// Members of `CreateJob` that were asked for, in the words of the wire.
    pub asked: Map<String, Value>,
    /// Members of `CreateJob` that hold when neither caller nor bundle asks for them.
    pub fallback: Map<String, Value>,
    /// Whether workers see the files through a virtual file system.
    pub virtual_file_system: bool,
    /// Whether missing inputs are an error.
    pub require_paths_exist: bool,
    /// Whether a person sits at a window.
    pub from_gui: bool,
    /// Folders whose files may be uploaded without a question.
    pub known_asset_paths: Vec<PathBuf>,
    /// Whether questions are answered by their default.
    pub auto_accept: bool,
    /// Whether to do as the official client: values of parameters need not fit by the letter, every transfer is asked
    /// about, and hooks do not run unasked.
    pub as_official_client: bool,
    /// Look for every object in the store.
    pub force_s3_check: bool,
    /// Write a snapshot instead of submitting.
    pub debug_snapshot_dir: Option<PathBuf>,
    /// Whether the bundle's hooks may run.
    pub allow_bundle_hooks: bool,
    /// Whether the hooks of `environment_hooks_dir` may run.
    pub allow_environment_hooks: bool,
    /// Folder of hooks that run with every submission: `$DEADLINE_HOOKS_DIR`.
    pub environment_hooks_dir: Option<PathBuf>,
    /// Who submits.
    pub submitter_name: String,
    /// Takes what telemetry may know; [`Recorder::off`] for nothing.
    pub recorder: Recorder,
    /// The queue's parameter definitions, when the caller has them already.
    pub queue_parameter_definitions: Option<Vec<Value>>,
    /// How many tasks the farm takes in one job.
    pub max_tasks: u64,
    /// How long to wait for the job to be created.
    pub create_timeout: Duration,
    /// Folder of the caches that are shared with the official client.
    pub cache_dir: PathBuf,
    /// What relative paths of the caller are relative to.
    pub current_dir: PathBuf,
}

impl Submission {
    /// Puts the caller's parameters, the configuration and the target together.
    pub fn resolve(params: Params, config: &Config, mut target: Target) -> Result<Self> {
        let bundle_dir = params.job_bundle_dir.ok_or_else(|| {
            CoreError::Operation("job_bundle_dir is missing. Give the folder of the job bundle to submit.".into())
        })?;
        let current_dir = std::env::current_dir().map_err(|err| {
            CoreError::Operation(format!("The current folder cannot be found: {err}. Change to another one."))
        })?;
        let farm_id = chosen("farm", params.farm_id, &target.farm_id, config)?;
        let queue_id = chosen("queue", params.queue_id, &target.queue_id, config)?;
        let storage_profile_id =
            params.storage_profile_id.or_else(|| target.storage_profile_id.clone()).filter(|id| !id.is_empty());
        let submitter = params.submitter_name.filter(|name| !name.is_empty()).unwrap_or_else(|| "Custom".into());
        target.submitter = Some(match params.submitter_version {
            Some(version) if !version.is_empty() => format!("{submitter}#{version}"),
            _ => submitter.clone(),
        });
        let mut asked = Map::new();
        let numbers = [
            ("priority", params.priority),
            ("maxWorkerCount", params.max_worker_count),
            ("maxFailedTasksCount", params.max_failed_tasks_count),
            ("maxRetriesPerTask", params.max_retries_per_task),
        ];
        for (member, value) in numbers {
            if let Some(value) = value {
                asked.insert(member.into(), value.into());
            }
        }
        if let Some(status) = params.target_task_run_status {
            asked.insert("targetTaskRunStatus".into(), status.into());
        }
        let mut fallback = Map::new();
        for (member, setting) in [
            ("maxFailedTasksCount", "settings.max_failed_tasks_count"),
            ("maxRetriesPerTask", "settings.max_retries_per_task"),
        ] {
            fallback.insert(member.into(), config.get_number(setting)?.into());
        }
        let mut known_asset_paths = params.known_asset_paths.unwrap_or_default();
        known_asset_paths.extend(std::env::split_paths(&config.get("settings.known_asset_paths")?));
        known_asset_paths.retain(|path| !path.as_os_str().is_empty());
        let known_asset_paths = known_asset_paths
            .iter()
            .map(|path| absolute(&config::expand_home(&path.to_string_lossy()), &current_dir))
            .collect();
        let file_system = match params.job_attachments_file_system {
            Some(given) => given,
            None => config.get("defaults.job_attachments_file_system")?,
        };
        Ok(Self {
            bundle_dir: absolute(&bundle_dir, &current_dir),
            farm_id,
            queue_id,
            storage_profile_id,
            job_parameters: given_parameters(params.job_parameters)?,
            name: params.name.filter(|name| !name.is_empty()),
            asked,
            fallback,
            virtual_file_system: file_system == "VIRTUAL",
            require_paths_exist: params.require_paths_exist.unwrap_or(false),
            from_gui: params.from_gui.unwrap_or(false),
            known_asset_paths,
            auto_accept: params.auto_accept.map_or_else(|| config.get_bool("settings.auto_accept"), Ok)?,
            as_official_client: params.as_official_client.unwrap_or(false),
            force_s3_check: params.force_s3_check.map_or_else(|| config.get_bool("settings.force_s3_check"), Ok)?,
            debug_snapshot_dir: params.debug_snapshot_dir.filter(|folder| !folder.as_os_str().is_empty()),
            allow_bundle_hooks: config.get_bool("settings.allow_bundle_hooks")?,
            allow_environment_hooks: config.get_bool("settings.allow_environment_hooks")?,
            environment_hooks_dir: std::env::var_os(HOOKS_VARIABLE)
                .filter(|path| !path.is_empty())
                .map(|path| absolute(&config::expand_home(&path.to_string_lossy()), &current_dir)),
            submitter_name: submitter,
            recorder: Recorder::off(),
            queue_parameter_definitions: params.queue_parameter_definitions,
            max_tasks: params.max_tasks.unwrap_or(chunks::MAX_TASKS).min(chunks::MAX_TASKS),
            create_timeout: params
                .create_timeout
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .unwrap_or(Duration::from_secs(300)),
            cache_dir: config::expand_home("~/.deadline/cache"),
            current_dir,
            target,
        })
    }

    /// Priority and limits of the request: the caller's before the bundle's, the bundle's before the configuration's.
    pub(super) fn limits(&self, bundle: &Map<String, Value>) -> Map<String, Value> {
        let mut limits = self.fallback.clone();
        limits.extend(bundle.clone());
        limits.extend(self.asked.clone());
        limits
    }
}

fn chosen(what: &str, given: Option<String>, resolved: &str, config: &Config) -> Result<String> {
    let id = given.unwrap_or_else(|| resolved.to_owned());
    if id.is_empty() {
        return Err(CoreError::Operation(format!(
            "No {what} is chosen. Set defaults.{what}_id in {}, or give {what}_id.",
            config.path().display()
        )));
    }
    Ok(id)
}

fn given_parameters(given: Option<Value>) -> Result<Vec<(String, Value)>> {
    let refuse = |found: &Value| {
        CoreError::Operation(format!(
            "job_parameters must be a list of {{\"name\": ..., \"value\": ...}}; this is not: {found}."
        ))
    };
    let items = match given {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(refuse(&other)),
    };
    let pair = |item: &Value| match (item["name"].as_str(), item.get("value")) {
        (Some(name), Some(value)) if !value.is_null() => Ok((name.to_owned(), value.clone())),
        _ => Err(refuse(item)),
    };
    items.iter().map(pair).collect()
}
