//! One function per operation.

use std::time::Instant;

use aws_sdk_deadline::types::{
    Attachments, FieldSortExpression, JobAttachmentsFileSystem, JobParameter, JobTargetTaskRunStatus,
    ManifestProperties, PathFormat, SearchSortExpression, SortOrder, TaskTargetRunStatus, UpdateJobLifecycleStatus,
};
use serde_json::{Map, Value, json};

use super::search::{JobSearch, filter_group};
use super::{Answer, Service, service_error_text};
use crate::error::{CoreError, Result};

/// Sends a request and gives the wire JSON of the answer.
macro_rules! send {
    ($service:expr, $operation:literal, $request:expr) => {{
        let answer = Answer::default();
        let started = Instant::now();
        let outcome = $request.customize().interceptor($service.tap(&answer)).send().await;
        $service.finish($operation, outcome, &answer, started)
    }};
}

/// Sends a request until the last page and gives the wire JSON with all items.
macro_rules! drain {
    ($service:expr, $operation:literal, $member:literal, $request:expr) => {{
        let mut items: Vec<Value> = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut page = send!($service, $operation, $request.set_next_token(next.clone()))?;
            if let Some(Value::Array(found)) = page.get_mut($member).map(Value::take) {
                items.extend(found);
            }
            let token = page["nextToken"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_some() && token == next {
                return Err(service_error_text(
                    $operation,
                    format!(
                        "{} gave the same page of {} twice. Report this to whoever runs the farm.",
                        $service.place(),
                        $operation
                    ),
                ));
            }
            match token {
                Some(token) => next = Some(token),
                None => break Ok(json!({ $member: items })),
            }
        }
    }};
}

/// What to change in a job; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobChange {
    /// `READY`, `FAILED`, `SUCCEEDED`, `CANCELED`, `SUSPENDED` or `PENDING` for all its tasks.
    pub target_task_run_status: Option<String>,
    /// 0 to 100; a higher one comes first.
    pub priority: Option<i32>,
    /// How many tasks may fail before the job fails.
    pub max_failed_tasks_count: Option<i32>,
    /// How often a task is tried again.
    pub max_retries_per_task: Option<i32>,
    /// How many workers may work on it; -1 is no limit.
    pub max_worker_count: Option<i32>,
    /// `ARCHIVED`.
    pub lifecycle_status: Option<String>,
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
}

/// Which session actions of a job to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionActionFilter {
    /// Those of one session.
    pub session_id: Option<String>,
    /// Those of one task.
    pub task_id: Option<String>,
}

impl Service {
    /// `ListFarms`: `{"farms": [...]}`.
    pub async fn list_farms(&self) -> Result<Value> {
        drain!(self, "ListFarms", "farms", self.sdk.list_farms().set_principal_id(self.target.principal_id.clone()))
    }

    /// One farm of `ListFarms`, to see whether the service answers.
    pub async fn probe(&self) -> Result<()> {
        let principal = self.target.principal_id.clone();
        send!(self, "ListFarms", self.sdk.list_farms().max_results(1).set_principal_id(principal)).map(drop)
    }

    /// `GetFarm`.
    pub async fn get_farm(&self, farm_id: &str) -> Result<Value> {
        send!(self, "GetFarm", self.sdk.get_farm().farm_id(farm_id))
    }

    /// `ListQueues`: `{"queues": [...]}`.
    pub async fn list_queues(&self, farm_id: &str) -> Result<Value> {
        let principal = &self.target.principal_id;
        drain!(
            self,
            "ListQueues",
            "queues",
            self.sdk.list_queues().farm_id(farm_id).set_principal_id(principal.clone())
        )
    }

    /// `GetQueue`.
    pub async fn get_queue(&self, farm_id: &str, queue_id: &str) -> Result<Value> {
        send!(self, "GetQueue", self.sdk.get_queue().farm_id(farm_id).queue_id(queue_id))
    }

    /// `ListQueueEnvironments`: `{"environments": [...]}`.
    pub async fn list_queue_environments(&self, farm_id: &str, queue_id: &str) -> Result<Value> {
        let request = || self.sdk.list_queue_environments().farm_id(farm_id).queue_id(queue_id);
        drain!(self, "ListQueueEnvironments", "environments", request())
    }

    /// `GetQueueEnvironment`.
    pub async fn get_queue_environment(&self, farm_id: &str, queue_id: &str, environment_id: &str) -> Result<Value> {
        let request =
            self.sdk.get_queue_environment().farm_id(farm_id).queue_id(queue_id).queue_environment_id(environment_id);
        send!(self, "GetQueueEnvironment", request)
    }

    /// `ListStorageProfilesForQueue`: `{"storageProfiles": [...]}`.
    pub async fn list_storage_profiles_for_queue(&self, farm_id: &str, queue_id: &str) -> Result<Value> {
        let request = || self.sdk.list_storage_profiles_for_queue().farm_id(farm_id).queue_id(queue_id);
        drain!(self, "ListStorageProfilesForQueue", "storageProfiles", request())
    }

    /// `GetStorageProfileForQueue`.
    pub async fn get_storage_profile_for_queue(
        &self,
        farm_id: &str,
        queue_id: &str,
        profile_id: &str,
    ) -> Result<Value> {
        let request =
            self.sdk.get_storage_profile_for_queue().farm_id(farm_id).queue_id(queue_id).storage_profile_id(profile_id);
        send!(self, "GetStorageProfileForQueue", request)
    }

    /// `ListQueueFleetAssociations` of a queue: `{"queueFleetAssociations": [...]}`.
    pub async fn list_queue_fleet_associations(&self, farm_id: &str, queue_id: &str) -> Result<Value> {
        let request = || self.sdk.list_queue_fleet_associations().farm_id(farm_id).queue_id(queue_id);
        drain!(self, "ListQueueFleetAssociations", "queueFleetAssociations", request())
    }

    /// `GetFleet`.
    pub async fn get_fleet(&self, farm_id: &str, fleet_id: &str) -> Result<Value> {
        send!(self, "GetFleet", self.sdk.get_fleet().farm_id(farm_id).fleet_id(fleet_id))
    }

    /// `AssumeQueueRoleForUser`, or `AssumeQueueRoleForRead`.
    pub(super) async fn assume_queue_role(&self, farm_id: &str, queue_id: &str, read_only: bool) -> Result<Value> {
        if read_only {
            let request = self.sdk.assume_queue_role_for_read().farm_id(farm_id).queue_id(queue_id);
            send!(self, "AssumeQueueRoleForRead", request)
        } else {
            let request = self.sdk.assume_queue_role_for_user().farm_id(farm_id).queue_id(queue_id);
            send!(self, "AssumeQueueRoleForUser", request)
        }
    }

    /// `CreateJob` with the members of the wire; gives the id.
    pub async fn create_job(&self, request: &Map<String, Value>) -> Result<String> {
        let text = |key: &str| request.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| {
            request.get(key).and_then(Value::as_i64).map(|value| value.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
        };
        let mut call = self
            .sdk
            .create_job()
            .set_farm_id(text("farmId"))
            .set_queue_id(text("queueId"))
            .set_template(text("template"))
            .set_template_type(text("templateType").map(|kind| kind.as_str().into()))
            .set_priority(number("priority"))
            .set_storage_profile_id(text("storageProfileId"))
            .set_target_task_run_status(text("targetTaskRunStatus").map(|status| status.as_str().into()))
            .set_max_failed_tasks_count(number("maxFailedTasksCount"))
            .set_max_retries_per_task(number("maxRetriesPerTask"))
            .set_max_worker_count(number("maxWorkerCount"));
        if let Some(parameters) = request.get("parameters").and_then(Value::as_object) {
            for (name, value) in parameters {
                call = call.parameters(name, job_parameter(name, value)?);
            }
        }
        if let Some(document) = request.get("attachments") {
            call = call.attachments(attachments(document)?);
        }
        let answer = send!(self, "CreateJob", call)?;
        answer["jobId"].as_str().map(str::to_owned).ok_or_else(|| {
            service_error_text(
                "CreateJob",
                format!("{} accepted CreateJob and named no job. Report this to whoever runs the farm.", self.place()),
            )
        })
    }

    /// `GetJob`.
    pub async fn get_job(&self, farm_id: &str, queue_id: &str, job_id: &str) -> Result<Value> {
        send!(self, "GetJob", self.sdk.get_job().farm_id(farm_id).queue_id(queue_id).job_id(job_id))
    }

    /// `SearchJobs`: `{"jobs": [...], "totalResults": n}` with at most as many jobs as asked for.
    pub async fn search_jobs(&self, farm_id: &str, queue_ids: &[String], wanted: &JobSearch) -> Result<Value> {
        let order = FieldSortExpression::builder()
            .name("CREATED_AT")
            .sort_order(if wanted.oldest_first { SortOrder::Ascending } else { SortOrder::Descending })
            .build()
            .map_err(|err| service_error_text("SearchJobs", err.to_string()))?;
        let filter = wanted.filter.as_ref().map(filter_group).transpose()?;
        let mut jobs: Vec<Value> = Vec::new();
        let mut total = Value::from(0);
        let mut offset = 0_i32;
        while jobs.len() < wanted.limit {
            let size = (wanted.limit - jobs.len()).min(100) as i32;
            let mut page = send!(
                self,
                "SearchJobs",
                self.sdk
                    .search_jobs()
                    .farm_id(farm_id)
                    .set_queue_ids(Some(queue_ids.to_vec()))
                    .item_offset(offset)
                    .page_size(size)
                    .set_filter_expressions(filter.clone())
                    .sort_expressions(SearchSortExpression::FieldSort(order.clone()))
            )?;
            total = page["totalResults"].take();
            let Value::Array(found) = page["jobs"].take() else { break };
            let empty = found.is_empty();
            jobs.extend(found);
            match page["nextItemOffset"].as_i64() {
                Some(next) if next > i64::from(offset) && !empty => offset = next as i32,
                _ => break,
            }
        }
        jobs.truncate(wanted.limit);
        Ok(json!({ "jobs": jobs, "totalResults": total }))
    }

    /// `UpdateJob`.
    pub async fn update_job(&self, farm_id: &str, queue_id: &str, job_id: &str, change: &JobChange) -> Result<Value> {
        let request = self
            .sdk
            .update_job()
            .farm_id(farm_id)
            .queue_id(queue_id)
            .job_id(job_id)
            .set_target_task_run_status(change.target_task_run_status.as_deref().map(JobTargetTaskRunStatus::from))
            .set_priority(change.priority)
            .set_max_failed_tasks_count(change.max_failed_tasks_count)
            .set_max_retries_per_task(change.max_retries_per_task)
            .set_max_worker_count(change.max_worker_count)
            .set_lifecycle_status(change.lifecycle_status.as_deref().map(UpdateJobLifecycleStatus::from))
            .set_name(change.name.clone())
            .set_description(change.description.clone());
        send!(self, "UpdateJob", request)
    }

    /// `ListSteps`: `{"steps": [...]}`.
    pub async fn list_steps(&self, farm_id: &str, queue_id: &str, job_id: &str) -> Result<Value> {
        drain!(self, "ListSteps", "steps", self.sdk.list_steps().farm_id(farm_id).queue_id(queue_id).job_id(job_id))
    }

    /// `ListStepDependencies`: `{"dependencies": [...]}`.
    pub async fn list_step_dependencies(
        &self,
        farm_id: &str,
        queue_id: &str,
        job_id: &str,
        step_id: &str,
    ) -> Result<Value> {
        let request =
            || self.sdk.list_step_dependencies().farm_id(farm_id).queue_id(queue_id).job_id(job_id).step_id(step_id);
        drain!(self, "ListStepDependencies", "dependencies", request())
    }

    /// `ListTasks`: `{"tasks": [...]}`.
    pub async fn list_tasks(&self, farm_id: &str, queue_id: &str, job_id: &str, step_id: &str) -> Result<Value> {
        let request = || self.sdk.list_tasks().farm_id(farm_id).queue_id(queue_id).job_id(job_id).step_id(step_id);
        drain!(self, "ListTasks", "tasks", request())
    }

    /// `UpdateTask`.
    pub async fn update_task(
        &self,
        farm_id: &str,
        queue_id: &str,
        job_id: &str,
        step_id: &str,
        task_id: &str,
        target_run_status: &str,
    ) -> Result<Value> {
        let request = self
            .sdk
            .update_task()
            .farm_id(farm_id)
            .queue_id(queue_id)
            .job_id(job_id)
            .step_id(step_id)
            .task_id(task_id)
            .target_run_status(TaskTargetRunStatus::from(target_run_status));
        send!(self, "UpdateTask", request)
    }

    /// `ListSessions`: `{"sessions": [...]}`.
    pub async fn list_sessions(&self, farm_id: &str, queue_id: &str, job_id: &str) -> Result<Value> {
        let request = || self.sdk.list_sessions().farm_id(farm_id).queue_id(queue_id).job_id(job_id);
        drain!(self, "ListSessions", "sessions", request())
    }

    /// `ListSessionActions`: `{"sessionActions": [...]}`.
    pub async fn list_session_actions(
        &self,
        farm_id: &str,
        queue_id: &str,
        job_id: &str,
        filter: &SessionActionFilter,
    ) -> Result<Value> {
        let request = || {
            self.sdk
                .list_session_actions()
                .farm_id(farm_id)
                .queue_id(queue_id)
                .job_id(job_id)
                .set_session_id(filter.session_id.clone())
                .set_task_id(filter.task_id.clone())
        };
        drain!(self, "ListSessionActions", "sessionActions", request())
    }
}

fn job_parameter(name: &str, value: &Value) -> Result<JobParameter> {
    let refuse =
        || CoreError::Operation(format!("The job parameter {name:?} is {value}, not one value with its type."));
    let (kind, value) = value.as_object().and_then(|object| object.iter().next()).ok_or_else(refuse)?;
    let text = || value.as_str().map(str::to_owned).ok_or_else(refuse);
    let list = || serde_json::from_value(value.clone()).map_err(|_| refuse());
    Ok(match kind.as_str() {
        "int" => JobParameter::Int(text()?),
        "float" => JobParameter::Float(text()?),
        "string" => JobParameter::String(text()?),
        "path" => JobParameter::Path(text()?),
        "bool" => JobParameter::Bool(text()?),
        "rangeExpr" => JobParameter::RangeExpr(text()?),
        "stringList" => JobParameter::StringList(list()?),
        "pathList" => JobParameter::PathList(list()?),
        "intList" => JobParameter::IntList(list()?),
        "floatList" => JobParameter::FloatList(list()?),
        "boolList" => JobParameter::BoolList(list()?),
        "intListList" => JobParameter::IntListList(serde_json::from_value(value.clone()).map_err(|_| refuse())?),
        _ => return Err(CoreError::Operation(format!("The job parameter {name:?} has the unknown type {kind:?}."))),
    })
}

fn attachments(document: &Value) -> Result<Attachments> {
    let refuse =
        |what: String| CoreError::Attachments(format!("The attachments cannot be sent with CreateJob: {what}."));
    let mut builder =
        Attachments::builder().set_file_system(document["fileSystem"].as_str().map(JobAttachmentsFileSystem::from));
    for manifest in document["manifests"].as_array().into_iter().flatten() {
        let text = |key: &str| manifest[key].as_str().map(str::to_owned);
        let folders = manifest["outputRelativeDirectories"]
            .as_array()
            .map(|folders| folders.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let properties = ManifestProperties::builder()
            .set_file_system_location_name(text("fileSystemLocationName"))
            .set_root_path(text("rootPath"))
            .set_root_path_format(text("rootPathFormat").map(|format| PathFormat::from(format.as_str())))
            .set_output_relative_directories(folders)
            .set_input_manifest_path(text("inputManifestPath"))
            .set_input_manifest_hash(text("inputManifestHash"))
            .build()
            .map_err(|err| refuse(err.to_string()))?;
        builder = builder.manifests(properties);
    }
    builder.build().map_err(|err| refuse(err.to_string()))
}
