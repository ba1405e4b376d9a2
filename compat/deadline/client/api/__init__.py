"""What programs call: the configured farm by boto3's shapes, submission, login, telemetry, and what submitters derive
from. Importing it imports neither boto3 nor Qt.
"""

from __future__ import annotations

from ._diagnostics import get_job, get_session, list_sessions, list_steps, list_tasks, search_jobs
from ._job_monitoring import (
    FailedTask,
    JobCompletionResult,
    LogEvent,
    SessionLogResult,
    WorkerLogResult,
    get_session_logs,
    get_worker_logs,
    wait_for_job_completion,
)
from ._loginout import login, logout
from ._monitor_urls import build_monitor_url
from ._queue_parameters import get_queue_parameter_definitions
from ._resources import (
    assume_queue_role_for_read,
    assume_queue_role_for_user,
    get_storage_profile_for_queue,
    list_farms,
    list_fleets,
    list_jobs,
    list_queues,
    list_storage_profiles_for_queue,
)
from ._session import (
    AwsAuthenticationStatus,
    AwsCredentialsSource,
    check_authentication_status,
    check_deadline_api_available,
    get_boto3_client,
    get_boto3_session,
    get_credentials_source,
    get_queue_user_boto3_session,
    get_user_and_identity_store_id,
    precache_clients,
    session_context,
)
from ._submit_job_bundle import create_job_from_job_bundle, wait_for_create_job_to_complete
from ._submitter import BaseSubmitter, BaseSubmitterSettings, SubmissionContext, get_queue_parameters
from ._telemetry import (
    TelemetryClient,
    get_deadline_cloud_library_telemetry_client,
    get_telemetry_client,
    record_function_latency_telemetry_event,
    record_success_fail_telemetry_event,
)
from ._update_checker import UpdateCheckResult, UpdateCheckStatus, safe_check_for_updates

__all__ = [
    "AwsAuthenticationStatus",
    "AwsCredentialsSource",
    "BaseSubmitter",
    "BaseSubmitterSettings",
    "FailedTask",
    "JobCompletionResult",
    "LogEvent",
    "SessionLogResult",
    "SubmissionContext",
    "TelemetryClient",
    "UpdateCheckResult",
    "UpdateCheckStatus",
    "WorkerLogResult",
    "assume_queue_role_for_read",
    "assume_queue_role_for_user",
    "build_monitor_url",
    "check_authentication_status",
    "check_deadline_api_available",
    "create_job_from_job_bundle",
    "get_boto3_client",
    "get_boto3_session",
    "get_credentials_source",
    "get_deadline_cloud_library_telemetry_client",
    "get_job",
    "get_queue_parameter_definitions",
    "get_queue_parameters",
    "get_queue_user_boto3_session",
    "get_session",
    "get_session_logs",
    "get_storage_profile_for_queue",
    "get_telemetry_client",
    "get_user_and_identity_store_id",
    "get_worker_logs",
    "list_farms",
    "list_fleets",
    "list_jobs",
    "list_queues",
    "list_sessions",
    "list_steps",
    "list_storage_profiles_for_queue",
    "list_tasks",
    "login",
    "logout",
    "precache_clients",
    "record_function_latency_telemetry_event",
    "record_success_fail_telemetry_event",
    "safe_check_for_updates",
    "search_jobs",
    "session_context",
    "wait_for_create_job_to_complete",
    "wait_for_job_completion",
]
