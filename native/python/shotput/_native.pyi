"""The native module: Rust under a Python name. Values cross as plain dicts and lists, errors are ``shotput.errors``."""
# Every function that may block releases the GIL. `config_path` names the client configuration file
# (default: $DEADLINE_CONFIG_FILE_PATH, else ~/.deadline/config). `target` is a resolved target as a dict (for the local
# farm: `shotput.local_farm.FarmState.target()`); with it, no configuration file and no AWS profile is read.

from collections.abc import Awaitable, Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, final

__all__ = [
    "DeadlineOperationError",
    "Environment",
    "EnvironmentTemplate",
    "Job",
    "JobTemplate",
    "ObjectStore",
    "ParameterSpace",
    "PauseSwitch",
    "Session",
    "Step",
    "StepScript",
    "TelemetryClient",
    "__version__",
    "apply_job_parameters",
    "call_async",
    "check_api_available",
    "check_auth_status",
    "check_auth_status_with_progress",
    "check_template",
    "coerce_parameter",
    "compare_parameters",
    "contact_sheet",
    "copy_snapshot",
    "create_job",
    "create_job_from_job_bundle",
    "decode_environment_template",
    "decode_job_template",
    "download_job_outputs",
    "download_manifests",
    "environment_from_template",
    "find_orphans",
    "get_caller_identity",
    "get_credentials_source",
    "get_farm",
    "get_fleet",
    "get_job",
    "get_parameter_control",
    "get_queue",
    "get_queue_parameter_definitions",
    "get_session_log",
    "get_setting",
    "get_storage_profile_for_queue",
    "group_paths",
    "hash_bytes",
    "image_size",
    "kill_orphans",
    "list_farms",
    "list_output_manifests",
    "list_queue_environments",
    "list_queue_fleet_associations",
    "list_queues",
    "list_session_actions",
    "list_sessions",
    "list_settings",
    "list_step_dependencies",
    "list_steps",
    "list_storage_profiles_for_queue",
    "list_tasks",
    "login",
    "logout",
    "mean_difference",
    "merge_manifests",
    "parse_template",
    "preview_submission",
    "probe_bucket",
    "reach_service",
    "read_bundle",
    "read_config",
    "read_manifests",
    "resolve_target",
    "search_jobs",
    "set_setting",
    "snapshot",
    "step_from_template",
    "sync_inputs",
    "sync_outputs",
    "thumbnail",
    "update_job",
    "update_task",
    "upload_manifest",
    "upload_snapshot",
]

__version__: str

from shotput.errors import DeadlineOperationError as DeadlineOperationError

def call_async(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
) -> Awaitable[Any]:
    """Call a blocking function of this module on a thread of its own, for the running event loop; see ``shotput.aio``.

    Cancelling what it returns ends the calls that the function makes to this module. What is awaited raises what the
    function raises. Raises ``RuntimeError`` when no event loop runs in this thread.
    """

# --- configuration and credentials ------------------------------------------------------------------------------------

def get_setting(name: str, config_path: str | PathLike[str] | None = None) -> str:
    """Value of the setting ``section.key``, e.g. ``defaults.farm_id``: what is stored, else its default.

    Some settings are stored for each AWS profile or each farm (``depends_on`` of :func:`list_settings`): their value is
    that of the current one. Reading never writes.

    Raises ``ConfigError`` for an unknown name or a file that cannot be read.
    """

def set_setting(name: str, value: str, config_path: str | PathLike[str] | None = None) -> None:
    """Store a setting; the file is written at once, whole, for its owner only. Comments in it are lost.

    Raises ``ConfigError`` for an unknown name or a file that cannot be read or written.
    """

def read_config(config_path: str | PathLike[str] | None = None) -> dict[str, dict[str, str]]:
    """The file as it is, ``{section: {key: value}}``: no defaults, ``%`` as it stands. A missing file is ``{}``.

    Raises ``ConfigError`` for a file that cannot be read.
    """

def list_settings(config_path: str | PathLike[str] | None = None) -> dict[str, Any]:
    """Every setting: ``{"path": file, "settings": {"section.key": {...}}}``.

    Each is ``{"value": str, "is_stored": bool, "default": str, "depends_on": str | None, "description": str}``:
    ``is_stored`` is false where the default holds; in ``default``, ``{aws_profile_name}`` stands for the profile's.
    ``depends_on`` is the setting for each of whose values this one is stored. Raises ``ConfigError`` for a file that
    cannot be read.
    """

def get_credentials_source(config_path: str | PathLike[str] | None = None) -> str:
    """Where the credentials of the configured AWS profile come from, by the AWS files and variables of this machine.

    ``NOT_VALID`` (no such profile), ``HOST_PROVIDED``, ``DEADLINE_CLOUD_MONITOR_LOGIN`` or ``AWS_CONSOLE_LOGIN`` (a
    sign-in to the AWS console, by ``aws login`` or the monitor). Nothing goes over the network, and nothing is raised:
    files that cannot be read count as empty.
    """

def check_auth_status(
    config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Ask the service for one farm: ``{"credentials_source": str, "auth_status": str, "api_available": bool}``.

    By ``ListFarms``. ``auth_status`` is ``AUTHENTICATED``, ``NEEDS_LOGIN`` (a login through the monitor or to the AWS
    console that ended) or ``CONFIGURATION_ERROR``. Does not raise when the service refuses or is silent.
    """

def check_auth_status_with_progress(
    config_path: str | PathLike[str] | None = None,
    on_progress: Callable[[str], object] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """:func:`check_auth_status`, with ``on_progress(message)`` before each of its steps and at the end: three times at
    least. What it raises comes out of the call.
    """

def check_api_available(
    config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> bool:
    """Whether the service answers the caller (``ListFarms``). Does not raise when it refuses or is silent."""

def login(
    config_path: str | PathLike[str] | None = None,
    on_pending_authorization: Callable[..., object] | None = None,
    on_cancellation_check: Callable[[], object] | None = None,
) -> str:
    """Log in to the AWS profile, and wait until the service answers; a sentence with the profile.

    Starts the Deadline Cloud monitor, the program of the setting ``deadline-cloud-monitor.path``, with ``login
    --profile NAME`` and asks the service every half second. For a sign-in to the AWS console it does the same where
    that setting has a value; elsewhere it runs ``aws login --profile NAME`` to its end.
    ``on_pending_authorization(credentials_source=AwsCredentialsSource)`` is called once, when the program runs.
    ``on_cancellation_check()`` is asked every half second; a true answer ends the program and raises
    ``LoginCanceled``. What a callback raises comes out of the call. Without a cancellation, the call waits
    until the login is done or the program fails.

    Raises ``UnsupportedProfileTypeForLoginLogout`` for a profile of another kind, ``ConfigError`` for one of the
    monitor without a path, ``DeadlineOperationError`` when the program cannot be started or fails, or when the service
    refuses who signed in by ``aws login``.
    """

def logout(config_path: str | PathLike[str] | None = None) -> str:
    """Have the Deadline Cloud monitor log out of the profile; what it printed.

    A sign-in to the AWS console ends for all AWS tools: its keys are removed (from ``~/.aws/login/cache``), and the
    monitor is told where there is one; the answer is a sentence with the profile. Credentials of queue roles that this
    process holds are dropped. Raises as :func:`login`.
    """

# --- resources --------------------------------------------------------------------------------------------------------
# Each is one operation of the service. `ServiceError`: it refused ("<code>: <message>") or is silent; `ConfigError`:
# the configuration cannot be used. Lists come with all pages.

def list_farms(
    config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``{"farms": [{"farmId", "displayName", "createdAt", "createdBy"}]}`` of ``ListFarms``.

    Times are ISO 8601 with ``Z``. Raises ``ConfigError``, ``ServiceError``.
    """

def get_farm(
    farm_id: str, config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``{"farmId", "displayName", "createdAt", "createdBy", "costScaleFactor"}`` of ``GetFarm`` and, when set,
    ``kmsKeyArn``, ``updatedAt``, ``updatedBy``, ``description``. Times are ``YYYY-MM-DD HH:MM:SS[.fff]+00:00``.

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_queues(
    farm_id: str, config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``{"queues": [{"queueId", "displayName", "status", "createdAt", "createdBy"}]}`` of ``ListQueues``; times as in
    :func:`list_farms`.

    Raises ``ConfigError``, ``ServiceError``.
    """

def get_queue(
    farm_id: str,
    queue_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The queue's members in the words of ``GetQueue``; absent ones and empty lists are left out, times as in
    :func:`get_farm`.

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_storage_profiles_for_queue(
    farm_id: str,
    queue_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"storageProfiles": [{"storageProfileId", "displayName", "osFamily"}]}`` of ``ListStorageProfilesForQueue``.

    Raises ``ConfigError``, ``ServiceError``.
    """

def get_storage_profile_for_queue(
    farm_id: str,
    queue_id: str,
    storage_profile_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer of ``GetStorageProfileForQueue``: ``{"storageProfileId", "displayName", "osFamily",
    "fileSystemLocations": [{"name", "path", "type"}]}``.

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_queue_environments(
    farm_id: str,
    queue_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"environments": [{"queueEnvironmentId", "name", "priority"}]}`` of ``ListQueueEnvironments``.

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_queue_fleet_associations(
    farm_id: str,
    queue_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"queueFleetAssociations": [{"queueId", "fleetId", "status", ...}]}`` of a queue, from
    ``ListQueueFleetAssociations``.

    Raises ``ConfigError``, ``ServiceError``.
    """

def get_fleet(
    farm_id: str,
    fleet_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer of ``GetFleet`` as it came over the wire; times are ISO 8601 with ``Z``.

    Raises ``ConfigError``, ``ServiceError``.
    """

def get_queue_parameter_definitions(
    farm_id: str,
    queue_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """OpenJD parameter definitions of the queue's environments, by priority; each has a ``userInterface`` with a
    ``groupLabel``.

    From ``ListQueueEnvironments`` and ``GetQueueEnvironment``. Raises ``ConfigError``, ``ServiceError``, and
    ``BundleError`` when two environments contradict each other.
    """

def get_job(
    farm_id: str,
    queue_id: str,
    job_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer of ``GetJob`` as it came over the wire; times are ISO 8601 with ``Z``.

    Raises ``ConfigError``, ``ServiceError``.
    """

def search_jobs(
    farm_id: str,
    queue_ids: Sequence[str],
    *,
    limit: int = 100,
    filter_expressions: Mapping[str, Any] | None = None,
    oldest_first: bool = False,
    config_path: str | PathLike[str] | None = None,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"jobs": [...], "totalResults": int}``: at most ``limit`` jobs of 1 to 10 queues, newest first
    (``SearchJobs``), or by the time of their creation.

    ``filter_expressions`` is the member of the operation: ``{"filters": [{"stringFilter": {...}}, ...], "operator":
    "AND" | "OR"}``; times in it are ISO 8601 with their offset.

    Raises ``ConfigError``, ``ServiceError``, ``DeadlineOperationError`` for a filter of another shape.
    """

def update_job(
    farm_id: str,
    queue_id: str,
    job_id: str,
    *,
    target_task_run_status: str | None = None,
    priority: int | None = None,
    max_failed_tasks_count: int | None = None,
    max_retries_per_task: int | None = None,
    max_worker_count: int | None = None,
    lifecycle_status: str | None = None,
    name: str | None = None,
    description: str | None = None,
    config_path: str | PathLike[str] | None = None,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Change a job; ``None`` stays as it is. ``target_task_run_status``: ``READY``, ``SUSPENDED``, ``CANCELED``,
    ``FAILED``, ``SUCCEEDED``, ``PENDING``. ``priority``: 0 to 100. ``max_worker_count``: -1 is no limit. Gives
    ``{}`` (``UpdateJob``).

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_steps(
    farm_id: str,
    queue_id: str,
    job_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"steps": [...]}`` as ``ListSteps`` gives them.

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_step_dependencies(
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"dependencies": [{"stepId", "status"}]}``: the steps that a step waits for (``ListStepDependencies``).

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_tasks(
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"tasks": [...]}`` as ``ListTasks`` gives them.

    Raises ``ConfigError``, ``ServiceError``.
    """

def update_task(
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str,
    task_id: str,
    target_run_status: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Set where a task shall go: ``READY`` (try again), ``SUSPENDED``, ``CANCELED``, ``FAILED``, ``SUCCEEDED``. Gives
    ``{}`` (``UpdateTask``).

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_sessions(
    farm_id: str,
    queue_id: str,
    job_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"sessions": [...]}`` as ``ListSessions`` gives them.

    Raises ``ConfigError``, ``ServiceError``.
    """

def list_session_actions(
    farm_id: str,
    queue_id: str,
    job_id: str,
    *,
    session_id: str | None = None,
    task_id: str | None = None,
    config_path: str | PathLike[str] | None = None,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"sessionActions": [...]}`` of one session or one task, as ``ListSessionActions`` gives them.

    Raises ``ConfigError``, ``ServiceError``.
    """

def get_session_log(
    farm_id: str,
    queue_id: str,
    session_id: str,
    *,
    start_from_head: bool = True,
    next_token: str | None = None,
    limit: int = 10000,
    config_path: str | PathLike[str] | None = None,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"events": [{"timestamp", "message", "ingestionTime"}], "nextForwardToken", "nextBackwardToken"}``.

    Times are milliseconds since 1970. One answer of ``GetLogEvents`` with at most ``limit`` (1 to 10,000) events; go
    on with ``next_token=answer["nextForwardToken"]`` until the token stays the same.

    Raises ``ConfigError``, ``ServiceError``.
    """

# --- diagnosis: what can be known before anything is sent -------------------------------------------------------------

def resolve_target(
    config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Where calls go: ``{"farm_id", "queue_id", "storage_profile_id", "region", "profile", "credentials_source",
    "endpoints": {"deadline", "s3", "sts", "logs": url}, "proxy", "ca_bundle"}``.

    Nothing goes over the network, and keys are not among it. ``proxy`` and ``ca_bundle`` are those of settings, AWS
    profile and ``$AWS_CA_BUNDLE``. Raises ``ConfigError``, also when no region is known.
    """

def reach_service(
    service: Literal["deadline", "s3", "sts", "logs"],
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
    timeout: float = 10.0,
) -> dict[str, Any]:
    """Send one request without credentials to the address of a service: ``{"url", "status" (HTTP), "seconds",
    "clock_ahead", "proxy"}``.

    ``clock_ahead`` are the seconds by which its clock is ahead of this machine's, to about one, or ``None``; ``proxy``
    is what the question went through. ``timeout`` is in seconds. Raises ``ServiceError`` when nothing answers,
    ``ConfigError``, and ``ValueError`` for another service.
    """

def get_caller_identity(
    config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Who the credentials belong to: ``{"account", "arn"}`` of ``GetCallerIdentity`` of AWS STS.

    Raises ``ConfigError``, ``ServiceError``.
    """

def probe_bucket(
    farm_id: str,
    queue_id: str,
    bucket: str,
    root_prefix: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
    read_only: bool = False,
) -> dict[str, Any]:
    """What the role of a queue may do with a bucket (with ``read_only``: its role that only reads). Nothing is
    written, and no object is read.

    ``{"bucket", "owner", "list", "read", "write": attempt, "region": str | None, "is_empty": bool, "account": str |
    None}``: an attempt is ``{"allowed": bool | None, "status" (HTTP), "code", "message"}``, or ``None`` where it made
    no sense. ``bucket`` is whether it is there, ``owner`` whether it belongs to ``account``, ``list`` and ``is_empty``
    are about objects below ``root_prefix``. ``write`` is a part for an upload that does not exist: S3 looks at the
    rights first, and then has nothing to write to. It does not show whether the role may use the account's own key
    (KMS) where one encrypts the bucket.

    Raises ``ConfigError``, ``ServiceError`` when the role cannot be assumed (``AssumeQueueRoleForUser`` or
    ``AssumeQueueRoleForRead``) or its account is not known (``GetCallerIdentity``).
    """

def preview_submission(params: dict[str, Any], storage_profile: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Do all of a submission that comes before its first request, with the same checks; nothing goes over the network.

    ``params`` as for :func:`create_job_from_job_bundle`; without ``queue_parameter_definitions``, values that only the
    queue could define are left alone. ``storage_profile`` is the answer of :func:`get_storage_profile_for_queue`.

    Returns ``{"template", "template_characters", "parameters" (of queue and bundle, with values), "roots": [{"root",
    "location_name", "files", "bytes", "outputs"}], "unknown_files": int, "unknown_folders" (files outside of known
    folders, about which a submission asks, and where they lie), "warnings": [str] (files that would not be uploaded),
    "changes": [str] (larger chunks), "problems": [{"about": "bundle" | "parameters" | "limits" | "files",
    "message"}]}``: each problem is an error with which the submission would fail.

    Raises ``ConfigError``, ``DeadlineOperationError`` without farm, queue or ``job_bundle_dir``,
    ``DeadlineOperationCanceled``.
    """

# --- submission -------------------------------------------------------------------------------------------------------

def read_bundle(path: str | PathLike[str], *, as_official_client: bool = False) -> dict[str, Any]:
    """Read a job bundle's folder after all checks of its documents, its parameters and where its links lead.

    Returns ``folder``, ``templatePath``, ``template``, ``parameters`` (definitions with ``value``) and
    ``assetReferences`` (the document's shape, absolute paths). With ``as_official_client`` numbers and truth values are
    text for a STRING. Raises ``BundleError``.
    """

def create_job_from_job_bundle(
    params: dict[str, Any],
    on_print: Callable[[str], object] | None = None,
    on_hashing_progress: Callable[[dict[str, Any]], object] | None = None,
    on_upload_progress: Callable[[dict[str, Any]], object] | None = None,
    on_confirm: Callable[[str, bool], object] | None = None,
    on_continue: Callable[[], object] | None = None,
    *,
    pause: PauseSwitch | None = None,
) -> dict[str, Any]:
    """Submit a job bundle and wait until the farm has created the job: ``{"job_id": str}``, ``None`` in it when a
    debug snapshot was written instead.

    ``params`` (unknown members are ignored, and ``None`` is the same as absent):

    - ``job_bundle_dir``: the bundle's folder; required
    - ``target``: a resolved target as a dict, or ``config_path``: where farm, queue and AWS profile come from
    - ``farm_id``, ``queue_id``, ``storage_profile_id``: in place of the target's
    - ``name``, ``priority`` (0 to 100, 50), ``max_failed_tasks_count``, ``max_retries_per_task``,
      ``max_worker_count``, ``target_task_run_status`` (``READY``, ``SUSPENDED``)
    - ``job_parameters``: ``[{"name", "value"}]``, over the bundle's values; relative paths lie in the current folder
    - ``job_attachments_file_system`` (``COPIED``, ``VIRTUAL``), ``force_s3_check``, ``require_paths_exist``
    - ``known_asset_paths``: list of folders whose files are uploaded without a question
    - ``auto_accept`` (else the setting), ``from_gui``: questions are asked even with ``auto_accept``
    - ``as_official_client``: as the official client in what it lets pass and asks. Numbers and truth values are text
      for a STRING, values of parameters that nothing defines are left out, and ``on_print`` says so; ``on_confirm`` is
      asked before files of known folders move, and hooks do not run where there is nobody to ask
    - ``submitter_name`` (``Custom``), ``submitter_version``: for the user agent, hooks and telemetry
    - ``queue_parameter_definitions``: when the caller has them already
    - ``max_tasks``: how many tasks the farm takes in one job (2,147,483,647, what the service's model can count; an
      account's quota may be smaller). Steps that take frames in chunks get larger ones, and ``on_print`` says so; a job
      that does not fit all the same is refused with the number
    - ``debug_snapshot_dir``: a folder that gets what would be sent (``create_job_args.json``, ``Data``,
      ``Manifests``, the queue) with scripts that send it; nothing is uploaded and no job is created
    - ``create_timeout``: seconds to wait for the job's creation, 300

    Progress callbacks get ``{"status", "progress" (0 to 100), "transferRate" (bytes/s), "progressMessage",
    "processedFiles", "processedBytes", "skippedFiles", "totalFiles", "totalBytes"}``; a false answer cancels. A job
    without files has one report for hashing and one for the upload, each with 100, whose answers do not count.
    ``on_confirm`` gets a question and its default answer, and returns the answer. ``on_continue`` is called before each
    look at whether the job is created; a false answer ends the wait. What a callback raises comes out unchanged.
    Callbacks run on threads of the module. The configuration is not written. ``pause`` is a switch that holds the call
    while it is on, from the next report of progress at the latest.

    Hooks (``hooks.yaml`` of the bundle, and of ``$DEADLINE_HOOKS_DIR``) run where ``settings.allow_bundle_hooks`` and
    ``settings.allow_environment_hooks`` are on, after ``on_confirm`` was asked. They get the job as JSON and may
    answer ``template``, ``priority``, ``parameters`` and ``attachments.assetReferences``.

    Raises ``BundleError``, ``TemplateError``, ``MissingInputsError``, ``AttachmentsError``, ``ServiceError``,
    ``ConfigError``, ``DeadlineOperationError`` when a hook fails; ``UserInitiatedCancel`` when a question is declined,
    ``DeadlineOperationCanceled`` when a progress callback cancels or nobody could be asked,
    ``CreateJobWaiterCanceled`` while waiting for the job, and ``DeadlineOperationTimedOut`` there and for a hook.
    """

@final
class PauseSwitch:
    """Holds submissions for a while: give it to one or more calls, and switch it from any thread.

    A submission that is held keeps what it has done. Connections that a server closes meanwhile are made anew.
    """

    def __new__(cls) -> PauseSwitch:
        """Make a switch that holds nothing."""

    @property
    def is_paused(self) -> bool:
        """Whether submissions are held."""

    def pause(self) -> None:
        """Hold all submissions with this switch, at their next report of progress or step."""

    def resume(self) -> None:
        """Let them go on."""

# --- telemetry --------------------------------------------------------------------------------------------------------

@final
class TelemetryClient:
    """Sends telemetry events in the background, to the endpoint that the user configured for the service.

    Where it is on, calls without a ``target`` also record how long each operation of the service took.

    Off unless an endpoint is set: ``AWS_ENDPOINT_URL_DEADLINE`` or ``AWS_ENDPOINT_URL`` in the environment, or
    ``endpoint_url`` in the AWS profile. Whoever opts out, by ``$DEADLINE_CLOUD_TELEMETRY_OPT_OUT`` or the setting
    ``telemetry.opt_out``, has opted out, whatever the other one says. Sending never raises: at most 25 events wait, the
    next ones are dropped, and an endpoint that refuses them gets no more.
    """

    def __new__(
        cls,
        config_path: str | PathLike[str] | None = None,
        *,
        package_name: str | None = None,
        package_version: str | None = None,
    ) -> TelemetryClient:
        """Make a client of a configuration; nothing is sent yet.

        ``package_name`` and ``package_version`` (of which three numbers are told) are who events come from: without,
        ``deadline-cloud-library``, as the official client says, and the version of this module.

        A missing ``telemetry.identifier`` is stored in the file ``config_path``, and nowhere when it is not given. A
        file that cannot be read counts as empty. Raises nothing.
        """

    @property
    def telemetry_opted_out(self) -> bool:
        """Whether the user opted out."""

    def record_event(
        self,
        event_type: str,
        event_details: dict[str, Any] | None = None,
        *,
        details: dict[str, Any] | None = None,
        from_gui: bool = False,
    ) -> None:
        """Record an event. One of ``event_details`` and ``details`` is needed, which are two names of one thing; a
        value in it that is no ``None``, ``bool``, ``int`` (64 bits), ``float`` or ``str`` becomes ``str(value)``.
        Raises ``DeadlineOperationError`` after ``close``.
        """

    def record_error(
        self,
        event_details: dict[str, Any] | None = None,
        exception_type: str | None = None,
        from_gui: bool = False,
        *,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Record an event of the type ``com.amazon.rum.deadline.error`` with ``exception_type``, which is needed,
        among its details. Otherwise as :meth:`record_event`.
        """

    def update_common_details(self, details: dict[str, Any]) -> None:
        """Add details to all later events; an event's own details win over them. Raises as :meth:`record_event`."""

    def close(self) -> None:
        """Send what waits, for two seconds at most, and end the thread. The drop of the object does the same."""

# --- what a submission does before it hashes, step by step ------------------------------------------------------------

def apply_job_parameters(
    parameters: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    current_dir: str | PathLike[str] | None = None,
    *,
    allow_uris: bool = False,
) -> dict[str, Any]:
    """Give values to parameter definitions: ``{"parameters": [...], "assetReferences": {...}}``.

    ``parameters`` are those of :func:`read_bundle` or :func:`get_queue_parameter_definitions`; each comes back with a
    ``value`` where it has one. Relative paths lie in ``current_dir`` (default: the process'). ``assetReferences`` is
    what parameters of the types PATH and LIST[PATH] refer to, in the shape of the document. With ``allow_uris``, as in
    templates of the extension EXPR, ``s3://bucket/key`` is no path: it stays, and refers to no file. Raises
    ``BundleError`` for an unknown name, a value that does not fit its definition, and a parameter without value and
    default.
    """

def coerce_parameter(definition: Mapping[str, Any], value: Any) -> Any:
    """Bring a value into the type of its definition: ``"5"`` of an INT is ``5``, ``"[1]"`` of a LIST[INT] ``[1]``.

    Raises ``BundleError`` for a value that the definition does not take; the definition itself is not checked.
    """

def get_parameter_control(definition: Mapping[str, Any]) -> str:
    """Name the control of a parameter definition, e.g. ``SPIN_BOX``: the one it names, else the default of its type.

    Raises ``BundleError`` for a definition that breaks the rules, and for a control that does not fit the type.
    """

def compare_parameters(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """List the members in which two definitions of one parameter differ; how they look does not count.

    Raises nothing but ``TypeError``, for what is no mapping of plain values.
    """

def group_paths(
    input_files: Sequence[str | PathLike[str]] = ...,
    output_directories: Sequence[str | PathLike[str]] = ...,
    referenced_paths: Sequence[str | PathLike[str]] = ...,
    *,
    locations: Sequence[Mapping[str, str]] | None = None,
    require_paths_exist: bool = False,
) -> dict[str, Any]:
    """Sort paths under asset roots.

    ``locations`` are the ``fileSystemLocations`` of a storage profile (``{"name", "path", "type"}``). Returns
    ``{"groups": [{"root", "location_name", "inputs", "outputs", "references"}], "total_files", "total_bytes",
    "warnings": [str]}``, groups by root, paths absolute. Raises ``MissingInputsError`` for an input that is a folder,
    and, with ``require_paths_exist``, for one that is missing; without, it becomes a reference and a warning.
    """

def hash_bytes(data: bytes) -> str:
    """Hash data as job attachments do: xxh128, 32 hexadecimal digits. Raises nothing."""

# --- job attachments --------------------------------------------------------------------------------------------------
# `on_progress` is called with {"status": "PREPARING_IN_PROGRESS" | "UPLOAD_IN_PROGRESS" | "DOWNLOAD_IN_PROGRESS",
# "progress": 0..100, "transferRate": bytes/s, "progressMessage": str, "processedFiles", "processedBytes",
# "skippedFiles", "totalFiles", "totalBytes": int}: at most once a second or every 50 files, and with 100.0 at the
# end, also when nothing is to do. A falsy answer cancels (`DeadlineOperationCanceled`); what it raises comes out of
# the call. Statistics are {"total_time": s, "total_files", "total_bytes", "processed_files", "processed_bytes",
# "skipped_files", "skipped_bytes": int, "transfer_rate": bytes/s}. All raise `AttachmentsError` with one sentence
# when a disk or a store fails.

def snapshot(
    root: str | PathLike[str],
    paths: Sequence[str | PathLike[str]] | None = None,
    *,
    cache_dir: str | PathLike[str] | None = None,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Hash all files below ``root``, or some: ``{"manifest": bytes | None, "statistics": {...}}``.

    ``manifest`` is the canonical text of a 2023-03-03 manifest; ``None`` when there is no file. ``cache_dir`` holds
    ``hash_cache.db``, which is shared with the official client; without it every file is read. Relative ``paths`` are
    below ``root``.

    Raises ``MissingInputsError`` for a path that is missing, a folder, or a link in ``root`` that leads out of it;
    ``AttachmentsError``, ``DeadlineOperationCanceled``.
    """

def upload_snapshot(
    root: str | PathLike[str],
    manifest: bytes,
    *,
    bucket: str | None = None,
    root_prefix: str | None = None,
    data_prefix: str | None = None,
    farm_id: str | None = None,
    queue_id: str | None = None,
    target: Mapping[str, Any] | None = None,
    cache_dir: str | PathLike[str] | None = None,
    force_s3_check: bool = False,
    credentials: Callable[[], Mapping[str, Any]] | None = None,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Upload the objects of a manifest that are missing in ``s3://bucket/root_prefix/Data/``, or, with
    ``data_prefix``, in ``s3://bucket/data_prefix/``; the statistics.

    Without ``bucket`` and ``root_prefix`` they go where the queue keeps its own, with the rights of the queue's role,
    which are renewed as long as it takes; farm and queue are then given, or the target's. With them, the rights are
    the target's, or those of ``credentials``: a function that gives ``{"access_key_id", "secret_access_key",
    "session_token", "expiration"}`` (seconds since 1970, or ``None``) and is asked again before they expire.

    ``cache_dir`` holds ``s3_check_cache.db``, which is shared with the official client; ``force_s3_check`` asks the
    store all the same. What an earlier call sent, killed or not, is not sent again.

    Raises ``AttachmentsError``, also for a file that changed since it was hashed, ``ServiceError``,
    ``DeadlineOperationCanceled``, and what ``credentials`` raises.
    """

def upload_manifest(
    manifest: bytes,
    path: str,
    *,
    asset_root: str | None = None,
    location_name: str | None = None,
    bucket: str | None = None,
    root_prefix: str | None = None,
    farm_id: str | None = None,
    queue_id: str | None = None,
    target: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Store a manifest, and none of its objects, at ``path`` below ``Manifests/``: ``{"path", "hash"}``.

    ``asset_root`` and ``location_name`` become metadata of the object, as manifests of outputs have them.
    Where it goes and with which rights: as :func:`upload_snapshot`. Raises ``AttachmentsError``, ``ServiceError``.
    """

def copy_snapshot(
    root: str | PathLike[str],
    manifest: bytes,
    folder: str | PathLike[str],
    *,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Copy the objects of a manifest to ``folder/Data/``, as the object store has them; the statistics.

    Raises ``AttachmentsError``, also for a file that changed since it was hashed, ``DeadlineOperationCanceled``.
    """

def merge_manifests(manifests: Sequence[bytes]) -> bytes:
    """One manifest of several, in canonical form; a file of a later one wins. Raises ``AttachmentsError``."""

def list_output_manifests(params: Mapping[str, Any]) -> list[str]:
    """The paths of all output manifests below ``Manifests/``, those of every run.

    ``params``: ``farm_id``, ``queue_id``, ``job_id``, and optionally ``step_id``, ``task_id``, ``target``, ``bucket``
    with ``root_prefix`` (else the queue's). Raises ``AttachmentsError``, ``ServiceError``.
    """

def read_manifests(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read manifests of the object store, and none of their objects.

    ``params``: as for :func:`list_output_manifests`, for the outputs that count: of each task those of its last run.
    Or ``paths``: those at these paths below ``Manifests/``, in this order. Each is ``{"path", "asset_root",
    "location_name", "last_modified" (seconds since 1970), "manifest": bytes}``; manifests of inputs have no
    ``asset_root``. Raises ``AttachmentsError``, ``ServiceError``.
    """

def download_manifests(
    params: Mapping[str, Any],
    on_progress: Callable[[dict[str, Any]], object] | None = None,
    *,
    credentials: Callable[[], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Download the files that manifests name.

    ``params``: ``manifests``, each with ``manifest`` (its bytes) or ``path`` (below ``Manifests/``), ``root_path`` and
    ``root_path_format`` (``posix``, ``windows``; without it this machine's), and optionally ``path_mapping_rules``
    (``[{"source_path_format", "source_path", "destination_path"}]``: files that none is for stay away; without rules
    files go to ``root_path``) and ``group`` (what fails and succeeds together, e.g. a job); ``conflict_resolution`` and
    the place, as :func:`download_job_outputs` has them; ``data_prefix`` (of the objects, by default
    ``<root_prefix>/Data``); ``dry_run``. With ``bucket`` and ``root_prefix``,
    ``credentials`` may give the rights, as in :func:`upload_snapshot`.

    Where manifests name one file of this machine, the one that was stored last has it. Returns ``{"files": [path],
    "statistics": {...}, "file_counts_by_root_directory": {root: int}, "groups": {group: {"total_files", "total_bytes",
    "files", "bytes", "error": str | None, "unmapped": [path]}}}``. What fails in one group does not touch the others,
    and is told in its ``error``.

    Raises ``AttachmentsError``, ``ServiceError``, ``ConfigError``, ``DeadlineOperationCanceled``.
    """

def download_job_outputs(
    params: Mapping[str, Any], on_progress: Callable[[dict[str, Any]], object] | None = None
) -> dict[str, Any]:
    """Download the outputs of a job, step or task to the folders that the job names.

    ``params``: ``farm_id``, ``queue_id``, ``job_id``, and optionally ``step_id``, ``task_id``, ``root_map``
    ({original root: local folder}; other roots are used as they are), ``path_mapping_rules`` (between the storage
    profiles of the job and of this machine: other roots go where these say), ``conflict_resolution`` (``SKIP``,
    ``OVERWRITE``, ``CREATE_COPY``, the default), ``target``, ``bucket`` with ``root_prefix`` (else the queue's, read
    with the rights of the queue's role).

    Returns ``{"files": [path], "statistics": {...}, "file_counts_by_root_directory": {root: int}, "unmapped": [path
    that no rule is for]}``. A file that is in place already (same size and time) is skipped and listed; one that was
    kept instead is not listed. Call again to go on after a failure. Partial files are never visible under their name,
    contents are held to their hashes, and a manifest that leads out of its root is refused before anything is written.

    Raises ``AttachmentsError``, ``ServiceError``, ``ConfigError``, ``DeadlineOperationCanceled``.
    """

def sync_inputs(
    params: Mapping[str, Any], on_progress: Callable[[dict[str, Any]], object] | None = None
) -> dict[str, Any]:
    """For a worker: copy a job's inputs, and the outputs of steps, into a session's folder.

    ``params``: ``farm_id``, ``queue_id``, ``job_id``, ``bucket``, ``root_prefix``, ``target``, ``session_dir``,
    ``attachments`` (the job's, as on the wire), ``step_ids`` (steps whose outputs are needed), ``path_mapping_rules``
    (those of storage profiles), ``snapshot`` (from the last call for this session). Files are copies, so that a task
    may write into them.

    Returns ``{"path_mapping_rules": [{"source_path_format": "POSIX" | "WINDOWS", "source_path", "destination_path"}],
    "statistics": {...}, "snapshot": <for the next call>}``. Raises ``AttachmentsError``, ``ServiceError``,
    ``DeadlineOperationCanceled``.
    """

def sync_outputs(
    params: Mapping[str, Any], on_progress: Callable[[dict[str, Any]], object] | None = None
) -> dict[str, Any]:
    """For a worker: store what is new or changed in the job's output folders since the last call for this session.

    ``params``: as for ``sync_inputs``, and ``step_id``, ``task_id`` (None for a chunk), ``session_action_id``,
    ``started_at`` (of the action, seconds since 1970).

    Returns ``{"manifests": [{"outputManifestPath", "outputManifestHash"} | {}], "statistics": {...}, "snapshot":
    ...}``, with one manifest for each of ``attachments["manifests"]``, ``{}`` where there is nothing new. Raises
    ``AttachmentsError``, ``DeadlineOperationCanceled``.
    """

# --- Open Job Description: templates, jobs, parameter spaces ---

def check_template(document: str | dict[str, Any], kind: Literal["job", "environment"] = "job") -> list[dict[str, str]]:
    """List everything in a template that breaks the OpenJD rules.

    ``document`` is YAML or JSON text, or plain values. Each finding is ``{"path", "message"}``, with a path like
    ``steps[0] -> script -> actions -> onRun`` (``""`` for the document as a whole); an empty list means valid. Text
    that is not YAML and duplicate keys are findings too. Mistakes of shape come first: while there are any, the rules
    about meaning are not looked at. Raises nothing but ``TypeError``, for a document that is neither text nor a dict.
    """

def decode_job_template(document: str | dict[str, Any]) -> JobTemplate:
    """Decode a job template. Raises ``TemplateError`` with every finding."""

def decode_environment_template(document: str | dict[str, Any]) -> EnvironmentTemplate:
    """Decode an environment template. Raises ``TemplateError`` with every finding."""

def parse_template(text: str) -> dict[str, Any]:
    """Read a template's YAML or JSON, no rules applied. Raises ``TemplateError`` when it is neither, or no mapping."""

def create_job(
    template: JobTemplate | str | dict[str, Any],
    parameter_values: Mapping[str, Any] | None = None,
    *,
    environment_templates: list[EnvironmentTemplate | str | dict[str, Any]] | None = None,
    job_template_dir: str | None = None,
    current_dir: str | None = None,
) -> Job:
    """Put parameter values into a template.

    ``parameter_values`` maps names to texts, numbers, booleans or lists, or to members of the service's union
    (``{"intList": ["1", "2"]}``). ``environment_templates`` are the queue's, in the order they are entered: their
    parameters are merged with the template's. With ``job_template_dir`` relative defaults of PATH parameters are joined
    to it and may not leave it; with ``current_dir`` relative PATH values are joined to it; without, they stay as
    written. Raises ``TemplateError`` with a finding (path: the parameter's name) for each value that is missing,
    unknown, of the wrong type or outside its constraints.
    """

def step_from_template(
    template: str | dict[str, Any],
    parameters: dict[str, dict[str, Any]] | None = None,
    *,
    schema_version: str = "jobtemplate-2023-09",
    extensions: list[str] | None = None,
    job_name: str | None = None,
) -> Step:
    """Make a step from ``stepDetails.template`` of BatchGetJobEntity and ``jobDetails.parameters``.

    Parameters are typed: ``{"Frame": {"int": "1"}}`` or ``{"Frame": {"type": "INT", "value": "1"}}``. ``extensions``
    are the job's, None allows all. ``Step.script`` is what ``Session.run_task`` takes. Raises ``TemplateError`` (paths
    within the step's template) and ``SessionError`` (schema version not supported).
    """

def environment_from_template(
    template: str | dict[str, Any],
    parameters: dict[str, dict[str, Any]] | None = None,
    *,
    schema_version: str = "jobtemplate-2023-09",
    extensions: list[str] | None = None,
) -> Environment:
    """Make an environment from ``environmentDetails.template`` of BatchGetJobEntity, as ``step_from_template`` does.

    Raises ``TemplateError`` (paths within the environment's template), ``SessionError`` (schema version not supported).
    """

@final
class JobTemplate:
    """A valid job template."""

    @property
    def name(self) -> str:
        """The name, format strings unresolved."""
    @property
    def step_names(self) -> list[str]:
        """Names of the steps, in order."""
    @property
    def document(self) -> dict[str, Any]:
        """The document as it was given."""

@final
class EnvironmentTemplate:
    """A valid environment template."""

    @property
    def name(self) -> str:
        """Name of the environment."""
    @property
    def document(self) -> dict[str, Any]:
        """The document as it was given."""

@final
class Job:
    """A job: a template with every parameter bound."""

    @property
    def name(self) -> str:
        """The name, resolved."""
    @property
    def description(self) -> str | None:
        """The description."""
    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Bound parameters, ``{name: {"type", "value"}}``: values as text, lists as lists. A Session takes them."""
    @property
    def steps(self) -> list[Step]:
        """The steps, in order."""
    @property
    def queue_environments(self) -> list[Environment]:
        """Environments of the queue, in the order they are entered: before those of the job."""
    @property
    def job_environments(self) -> list[Environment]:
        """Environments of the job, in the order they are entered."""
    def to_dict(self) -> dict[str, Any]:
        """Return the job in the shape of a template, resolved as far as the parameters reach."""

@final
class Step:
    """A step of a job."""

    @property
    def name(self) -> str:
        """The name."""
    @property
    def dependencies(self) -> list[str]:
        """Names of the steps that end before this one begins."""
    @property
    def host_requirements(self) -> dict[str, Any] | None:
        """``{"amounts": [{"name", "min", "max"}], "attributes": [{"name", "anyOf", "allOf"}]}``, or None."""
    @property
    def environments(self) -> list[Environment]:
        """Environments of the step, in the order they are entered."""
    @property
    def script(self) -> StepScript:
        """What its tasks run."""
    @property
    def parameter_space(self) -> ParameterSpace:
        """Its tasks; a step without parameters has one, and no names."""
    def to_dict(self) -> dict[str, Any]:
        """Return the step in the shape of a template."""

@final
class StepScript:
    """What the tasks of a step run; a session resolves it for each task."""

    @property
    def step_name(self) -> str:
        """Name of the step."""
    def to_dict(self) -> dict[str, Any]:
        """Return the script in the shape of a template."""

@final
class Environment:
    """An environment that a session enters before tasks and exits after them."""

    @property
    def name(self) -> str:
        """The name."""
    def to_dict(self) -> dict[str, Any]:
        """Return the environment in the shape of a template."""

@final
class ParameterSpace:
    """The tasks of a step, by ordinal; nothing is materialised, however many there are.

    The parameters of a task are ``{name: {"type": "INT|FLOAT|STRING|PATH|CHUNK[INT]", "value": text}}``.
    """

    def __len__(self) -> int:
        """Count the tasks: a chunk is one. In an adaptive space tasks are counted unchunked."""
    @property
    def names(self) -> list[str]:
        """Names of the parameters, as defined."""
    @property
    def task_count(self) -> int:
        """Tasks if nothing were chunked."""
    @property
    def is_adaptive(self) -> bool:
        """Whether chunk sizes are found while the job runs (``targetRuntimeSeconds``)."""
    @property
    def chunk_parameter(self) -> str | None:
        """Name of the CHUNK[INT] parameter."""
    @property
    def default_task_count(self) -> int | None:
        """``chunks.defaultTaskCount``."""
    @property
    def target_runtime_seconds(self) -> int | None:
        """``chunks.targetRuntimeSeconds``; None when it is 0."""
    @property
    def range_constraint(self) -> str | None:
        """``CONTIGUOUS`` or ``NONCONTIGUOUS``."""
    def get(self, ordinal: int) -> dict[str, dict[str, str]]:
        """Return the parameters of one task. Raises IndexError past the end."""
    def __getitem__(self, key: int, /) -> dict[str, dict[str, str]]: ...
    def slice(self, start: int, stop: int) -> list[dict[str, dict[str, str]]]:
        """Return the parameters of tasks ``start`` to ``stop`` (excluded). Raises ValueError below 0."""
    def chunk(self, offset: int, count: int) -> tuple[dict[str, dict[str, str]], int]:
        """Cut the next chunk of an adaptive space: at most ``count`` tasks from unchunked task ``offset``.

        Returns the parameters and the number of tasks covered; the next chunk begins at ``offset`` plus that. A chunk
        ends early where other parameters change and, when CONTIGUOUS, at a gap. In a space that is not adaptive, the
        task at ``offset`` and 1. Raises IndexError past the end.
        """
    def to_dict(self) -> dict[str, Any] | None:
        """Return ``parameterSpace`` as in a template, resolved; None when the step has no parameters."""

# --- object store -----------------------------------------------------------------------------------------------------

@final
class ObjectStore:
    """A folder behind the S3 protocol, served on loopback by threads of its own.

    Path-style requests with signature version 4. Works as a context manager (``start`` and ``close``). All methods may
    be called from any thread.
    """

    def __new__(cls, root: str | PathLike[str], *, host: str = "127.0.0.1", port: int = 0) -> ObjectStore:
        """``root`` is made when missing. ``host`` is a loopback address; ``port`` 0 takes any free one."""

    def start(self) -> None:
        """Opens the folder and serves it; does nothing when it is served.

        Raises ``ObjectStoreError`` when the folder cannot be used or is served by another process, when the host is not
        loopback, or when the port is in use.
        """

    @property
    def endpoint(self) -> str:
        """The URL for S3 clients, e.g. ``http://127.0.0.1:38127``. ``ObjectStoreError`` when not started."""

    def add_credentials(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        *,
        bucket: str,
        prefix: str = "",
        expires_at: float | None = None,
        read_only: bool = False,
    ) -> None:
        """Lets an access key in and makes its bucket; may be called before and after ``start``.

        The key opens ``bucket`` at and below the folder ``prefix`` (empty: all of it), until ``expires_at`` (seconds
        since 1970). With a ``session_token``, every request must carry it. A key of the same id is replaced.
        """

    def remove_credentials(self, access_key_id: str) -> bool:
        """Shuts an access key out; false when there is none of that id."""

    def close(self) -> None:
        """Ends serving (requests under way get three seconds) and joins all threads; does nothing when not started."""

    def __enter__(self) -> ObjectStore: ...
    def __exit__(self, *exception: object) -> None: ...

# --- images -----------------------------------------------------------------------------------------------------------
# PNG, JPEG and OpenEXR (linear light becomes sRGB), told apart by content. ``ImageError`` names the file that is
# damaged, incomplete or of another kind.

def image_size(path: str | PathLike[str]) -> tuple[int, int]:
    """Width and height in pixels, from the file's header. Raises ``ImageError``."""

def thumbnail(path: str | PathLike[str], destination: str | PathLike[str], size: int) -> None:
    """Writes a PNG of at most ``size`` × ``size`` pixels (1 to 8192); smaller images keep their size.

    Raises ``ImageError``, also for a size out of bounds.
    """

def contact_sheet(
    paths: Sequence[str | PathLike[str]],
    destination: str | PathLike[str],
    *,
    columns: int,
    thumbnail_size: int,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes a PNG with all images in a grid, row by row, on a dark ground with thin gaps.

    Each image is at most ``thumbnail_size`` pixels wide and high; ``labels``, one per image, are written below them.

    Raises ``ImageError``, also for no image, no column, or another number of labels.
    """

def mean_difference(a: str | PathLike[str], b: str | PathLike[str]) -> float:
    """The mean absolute difference of all pixels and channels as seen on a screen: 0 (equal) to 1 (black on white).

    Alpha counts when either image has it. Raises ``ImageError``, also when the sizes differ.
    """

# --- Open Job Description: sessions ---

@final
class Session:
    """The environments and tasks of a job, run as subprocesses in a folder of their own, one action at a time.

    Every method that runs something blocks without the GIL until the action ended and everything about it was told, and
    returns its status; what went wrong in an action is in the status, misuse of the session raises ``SessionError``. A
    status is ``{"action": int, "kind": "enter|exit|task", "task_index": int | None, "environment_id": str | None,
    "state": "RUNNING|SUCCESS|FAILED|CANCELED|TIMEOUT", "progress": float | None, "status_message": str | None,
    "fail_message": str | None, "exit_code": int | None, "started_at": float, "ended_at": float | None}``: times are
    epoch seconds, ``action`` counts from 1, ``exit_code`` is minus the signal's number when a signal ended the
    process, and None when nothing ran. ``KeyboardInterrupt`` cancels the action and comes out of the call, and so
    does what callbacks raise (the action goes on to its end).
    """

    def __new__(
        cls,
        session_id: str,
        *,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        path_mapping_rules: Sequence[Mapping[str, str]] | None = None,
        session_root: str | PathLike[str] | None = None,
        environment: dict[str, str] | None = None,
        log: Callable[[list[dict[str, Any]]], object] | None = None,
        status: Callable[[dict[str, Any]], object] | None = None,
        retain_working_dir: bool = False,
        low_priority: bool = False,
        marker: str | None = None,
    ) -> Session:
        """Make the session's folder (0700, below ``session_root``, default: the system's for temporary files).

        ``parameters`` are typed job parameters (``Job.parameters``, or those of BatchGetJobEntity). Path mapping
        rules are ``{"source_path_format": "POSIX|WINDOWS", "source_path", "destination_path"}``, or the same in
        camelCase. ``environment`` is added to this process's variables for all of the session's; SHOTPUT_SESSION_ID,
        DEADLINE_SESSION_ID, OPENJD_SESSION_WORKING_DIR and, with ``marker``, SHOTPUT_SESSION_MARKER are set besides.

        ``log`` is called with batches of lines, ``{"timestamp": milliseconds since the epoch, "message": str,
        "action": int}`` (action 0: outside of any); ``status`` with each new status of the running action. Both are
        called in order on a thread of the session; while they are slow, at most 8,192 events wait, then the process
        that writes does.
        """
    @property
    def session_id(self) -> str:
        """Its name."""
    @property
    def working_directory(self) -> str:
        """The folder in which its processes start."""
    @property
    def state(self) -> str:
        """``READY``, ``RUNNING``, ``READY_ENDING`` (only exits can follow) or ``ENDED``."""
    @property
    def environments_entered(self) -> list[str]:
        """Ids of the entered environments, the innermost last."""
    @property
    def action_status(self) -> dict[str, Any] | None:
        """Status of the newest action."""
    def enter_environment(
        self, environment: Environment, *, identifier: str | None = None, variables: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Set the environment's variables and run its ``onEnter``; the status's ``environment_id`` names it.

        It counts as entered, and is to be exited, however that ends. ``variables`` are for this action alone.
        """
    def exit_environment(
        self, identifier: str, *, keep_running: bool = False, variables: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Run the ``onExit`` of the innermost environment and take its variables away, however that ends.

        Works after a failed or canceled action too. With ``keep_running`` other environments and tasks may follow.
        """
    def run_task(
        self,
        script: StepScript,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        variables: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run one task with typed task parameters (``ParameterSpace.get``, or ``{"Frame": {"int": "1"}}``)."""
    def run_tasks(
        self,
        script: StepScript,
        parameters: Sequence[Mapping[str, Mapping[str, Any]]],
        *,
        variables: Sequence[dict[str, str]] | None = None,
    ) -> list[dict[str, Any]]:
        """Run tasks of one step one after another, without a call into Python in between.

        Stops behind the first that does not succeed and at a cancel: the statuses are of those that began.
        ``variables`` are one dict a task. Raises ValueError when their number differs.
        """
    def cancel(self, *, time_limit: float | None = None, mark_failed: bool = False) -> bool:
        """End the running action, from any thread, and what its call would run after it.

        As the template says (NOTIFY_THEN_TERMINATE or TERMINATE), within ``time_limit`` seconds at most (0 kills at
        once); all that the action started is gone afterwards. ``mark_failed`` reports FAILED instead of CANCELED.
        Returns False when nothing runs. A second call can shorten the time that the first one granted.
        """
    def flush(self) -> None:
        """Wait until everything that happened was told; raises what callbacks raised."""
    def close(self) -> None:
        """Kill what runs or was left running, remove the folder unless it is retained. May be called twice.

        Environments are not exited: do that before. Raises ``SessionError`` when the folder cannot be removed.
        """

def find_orphans(marker: str) -> list[int]:
    """List processes (ids) of sessions with this id or marker, not the caller's own, by ``/proc/<pid>/environ``.

    Linux only; empty elsewhere. Raises nothing.
    """

def kill_orphans(marker: str) -> int:
    """Kill the processes that ``find_orphans`` finds until none is left; return how many there were.

    For what a killed owner left behind: living sessions with this marker lose their processes too. Linux only; 0
    elsewhere. Raises ``SessionError`` when a process does not end within 10 s.
    """
