"""The native module: Rust under a Python name. Values cross as plain dicts and lists, errors are ``shotput.errors``."""
# Every function that may block releases the GIL. `config_path` names the client configuration file
# (default: $DEADLINE_CONFIG_FILE_PATH, else ~/.deadline/config). `target` is a resolved target as a dict (for the local
# farm: `shotput.local_farm.FarmState.target()`); with it, no configuration file and no AWS profile is read.

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

__version__: str

from shotput.errors import DeadlineOperationError as DeadlineOperationError

# --- configuration and credentials ------------------------------------------------------------------------------------

def get_setting(name: str, config_path: str | PathLike[str] | None = None) -> str:
    """Value of the setting ``section.key``: what is stored, else its default.

    A setting lies in a section that depends on the current profile, farm and queue. Reading never writes.

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

def get_credentials_source(config_path: str | PathLike[str] | None = None) -> str:
    """``NOT_VALID`` (no such profile), ``HOST_PROVIDED`` or ``DEADLINE_CLOUD_MONITOR_LOGIN``. Nothing goes over the
    network.
    """

def check_auth_status(
    config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Ask the service for one farm: ``{"credentials_source": str, "auth_status": str, "api_available": bool}``.

    ``auth_status`` is ``AUTHENTICATED``, ``NEEDS_LOGIN`` (a monitor login that ended) or ``CONFIGURATION_ERROR``. Does
    not raise when the service refuses or is silent.
    """

def check_api_available(
    config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> bool:
    """Whether the service answers the caller. Does not raise when it refuses or is silent."""

# --- resources --------------------------------------------------------------------------------------------------------
# All raise `ServiceError` when the service refuses ("<code>: <message>") or is silent, and `ConfigError` when the
# configuration cannot be used. Lists come with all pages.

def list_farms(
    config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``{"farms": [{"farmId", "displayName", "createdAt", "createdBy"}]}``; times are ISO 8601 with ``Z``."""

def get_farm(
    farm_id: str, config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``{"farmId", "displayName", "createdAt", "createdBy", "costScaleFactor"}`` and, when set, ``kmsKeyArn``,
    ``updatedAt``, ``updatedBy``, ``description``. Times are ``YYYY-MM-DD HH:MM:SS[.fff]+00:00``.
    """

def list_queues(
    farm_id: str, config_path: str | PathLike[str] | None = None, *, target: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``{"queues": [{"queueId", "displayName", "status", "createdAt", "createdBy"}]}``; times as in
    :func:`list_farms`.
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
    """

def list_storage_profiles_for_queue(
    farm_id: str,
    queue_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"storageProfiles": [{"storageProfileId", "displayName", "osFamily"}]}``."""

def get_queue_parameter_definitions(
    farm_id: str,
    queue_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """OpenJD parameter definitions of the queue's environments, by priority; each has a ``userInterface`` with a
    ``groupLabel``. Raises ``BundleError`` when two environments contradict each other.
    """

def get_job(
    farm_id: str,
    queue_id: str,
    job_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer of ``GetJob`` as it came over the wire."""

def search_jobs(
    farm_id: str,
    queue_ids: Sequence[str],
    *,
    limit: int = 100,
    config_path: str | PathLike[str] | None = None,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"jobs": [...], "totalResults": int}``: at most ``limit`` jobs of 1 to 10 queues, newest first
    (``SearchJobs``).
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
    ``{}``.
    """

def list_steps(
    farm_id: str,
    queue_id: str,
    job_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"steps": [...]}`` as ``ListSteps`` gives them."""

def list_tasks(
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"tasks": [...]}`` as ``ListTasks`` gives them."""

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
    ``{}``.
    """

def list_sessions(
    farm_id: str,
    queue_id: str,
    job_id: str,
    config_path: str | PathLike[str] | None = None,
    *,
    target: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``{"sessions": [...]}`` as ``ListSessions`` gives them."""

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
    """``{"sessionActions": [...]}`` of one session or one task, as ``ListSessionActions`` gives them."""

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
    """

# --- submission -------------------------------------------------------------------------------------------------------

def create_job_from_job_bundle(
    params: dict[str, Any],
    on_print: Callable[[str], object] | None = None,
    on_hashing_progress: Callable[[dict[str, Any]], object] | None = None,
    on_upload_progress: Callable[[dict[str, Any]], object] | None = None,
    on_confirm: Callable[[str, bool], object] | None = None,
    on_continue: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Submit a job bundle and wait until the farm has created the job: ``{"job_id": str}``.

    ``params`` (unknown members are left alone, ``None`` is absent):

    - ``job_bundle_dir``: the bundle's folder; required
    - ``target``: a resolved target as a dict, or ``config_path``: where farm, queue and AWS profile come from
    - ``farm_id``, ``queue_id``, ``storage_profile_id``: in place of the target's
    - ``name``, ``priority`` (0 to 100, 50), ``max_failed_tasks_count``, ``max_retries_per_task``,
      ``max_worker_count``, ``target_task_run_status`` (``READY``, ``SUSPENDED``)
    - ``job_parameters``: ``[{"name", "value"}]``, over the bundle's values; relative paths lie in the current folder
    - ``job_attachments_file_system`` (``COPIED``, ``VIRTUAL``), ``force_s3_check``, ``require_paths_exist``
    - ``known_asset_paths``: folders whose files are uploaded without a question
    - ``auto_accept`` (else the setting), ``from_gui``: questions are asked even with ``auto_accept``
    - ``submitter_name``, ``submitter_version``: for the user agent
    - ``queue_parameter_definitions``: when the caller has them already
    - ``create_timeout``: seconds to wait for the job's creation, 300

    Progress callbacks get ``{"status", "progress" (0 to 100), "transferRate" (bytes/s), "progressMessage",
    "processedFiles", "processedBytes", "skippedFiles", "totalFiles", "totalBytes"}`` and go on while they return a
    true value. ``on_confirm`` gets a question and its default. ``on_continue`` is asked before each look at the
    created job. What a callback raises comes out unchanged. Callbacks run on threads of the module. The configuration
    is not written.

    Raises ``BundleError``, ``TemplateError``, ``MissingInputsError``, ``AttachmentsError``, ``ServiceError``,
    ``ConfigError``; ``UserInitiatedCancel`` when the question is declined, ``DeadlineOperationCanceled`` when a
    progress callback cancels or nobody could be asked, ``CreateJobWaiterCanceled`` and ``DeadlineOperationTimedOut``
    while waiting for the job.
    """
