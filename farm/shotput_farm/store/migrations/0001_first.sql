-- Times are milliseconds since the epoch. Statuses are decided in lifecycle.py. JSON columns hold wire structures.
-- seq columns order lists: pages are cut by them, so a page token stays good while rows are inserted.

CREATE TABLE farm (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    farm_id TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER,
    updated_by TEXT
) STRICT;

CREATE TABLE queue (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue_id TEXT NOT NULL UNIQUE,
    farm_id TEXT NOT NULL REFERENCES farm (farm_id),
    display_name TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER,
    updated_by TEXT
) STRICT;

CREATE TABLE fleet (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    fleet_id TEXT NOT NULL UNIQUE,
    farm_id TEXT NOT NULL REFERENCES farm (farm_id),
    display_name TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER,
    updated_by TEXT
) STRICT;

CREATE TABLE queue_fleet_association (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    farm_id TEXT NOT NULL REFERENCES farm (farm_id),
    queue_id TEXT NOT NULL REFERENCES queue (queue_id),
    fleet_id TEXT NOT NULL REFERENCES fleet (fleet_id),
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER,
    updated_by TEXT,
    UNIQUE (queue_id, fleet_id)
) STRICT;

CREATE TABLE queue_environment (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue_environment_id TEXT NOT NULL UNIQUE,
    queue_id TEXT NOT NULL REFERENCES queue (queue_id),
    name TEXT NOT NULL,
    priority INTEGER NOT NULL,
    template_type TEXT NOT NULL,
    template TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER,
    updated_by TEXT
) STRICT;

CREATE TABLE storage_profile (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    storage_profile_id TEXT NOT NULL UNIQUE,
    farm_id TEXT NOT NULL REFERENCES farm (farm_id),
    display_name TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER,
    updated_by TEXT
) STRICT;

CREATE TABLE worker (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    worker_id TEXT NOT NULL UNIQUE,
    farm_id TEXT NOT NULL REFERENCES farm (farm_id),
    fleet_id TEXT NOT NULL REFERENCES fleet (fleet_id),
    status TEXT NOT NULL,
    host_properties TEXT NOT NULL DEFAULT '{}',
    capabilities TEXT,
    last_seen INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER,
    updated_by TEXT
) STRICT;
CREATE INDEX worker_fleet ON worker (fleet_id, seq);

CREATE TABLE job (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    farm_id TEXT NOT NULL REFERENCES farm (farm_id),
    queue_id TEXT NOT NULL REFERENCES queue (queue_id),
    name TEXT NOT NULL,
    description TEXT,
    priority INTEGER NOT NULL,
    lifecycle_status TEXT NOT NULL,
    lifecycle_status_message TEXT NOT NULL,
    task_run_status TEXT NOT NULL,
    target_task_run_status TEXT,
    failure_retry_count INTEGER NOT NULL DEFAULT 0,
    max_failed_tasks_count INTEGER NOT NULL,
    max_retries_per_task INTEGER NOT NULL,
    max_worker_count INTEGER NOT NULL,
    storage_profile_id TEXT,
    source_job_id TEXT,
    parameters TEXT NOT NULL,
    attachments TEXT,
    -- When it was last given a slot, as a running number: round-robin takes the lowest first.
    turn INTEGER NOT NULL DEFAULT 0,
    n_pending INTEGER NOT NULL DEFAULT 0,
    n_ready INTEGER NOT NULL DEFAULT 0,
    n_assigned INTEGER NOT NULL DEFAULT 0,
    n_starting INTEGER NOT NULL DEFAULT 0,
    n_scheduled INTEGER NOT NULL DEFAULT 0,
    n_interrupting INTEGER NOT NULL DEFAULT 0,
    n_running INTEGER NOT NULL DEFAULT 0,
    n_suspended INTEGER NOT NULL DEFAULT 0,
    n_canceled INTEGER NOT NULL DEFAULT 0,
    n_failed INTEGER NOT NULL DEFAULT 0,
    n_succeeded INTEGER NOT NULL DEFAULT 0,
    n_not_compatible INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER,
    updated_by TEXT,
    started_at INTEGER,
    ended_at INTEGER
) STRICT;
CREATE INDEX job_queue ON job (queue_id, seq);
CREATE INDEX job_created ON job (queue_id, created_at);

-- What is big and rarely read: the template as it was submitted and what was decoded from it.
CREATE TABLE job_document (
    job_seq INTEGER PRIMARY KEY REFERENCES job (seq),
    template TEXT NOT NULL,
    template_type TEXT NOT NULL,
    schema_version TEXT NOT NULL,
    extensions TEXT NOT NULL,
    -- [{"name", "template"}] in the order of entering: the queue's environments by priority, then the job's.
    environments TEXT NOT NULL,
    queue_environments TEXT NOT NULL,
    parameter_definitions TEXT NOT NULL
) STRICT;

CREATE TABLE step (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    step_id TEXT NOT NULL UNIQUE,
    job_seq INTEGER NOT NULL REFERENCES job (seq),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    template TEXT NOT NULL,
    -- {"amounts": [{name, min, max}], "attributes": [{name, anyOf, allOf}]}
    requirements TEXT NOT NULL,
    parameter_space TEXT,
    lifecycle_status TEXT NOT NULL,
    task_run_status TEXT NOT NULL,
    target_task_run_status TEXT,
    failure_retry_count INTEGER NOT NULL DEFAULT 0,
    -- Tasks are ordinals 0..task_count-1. Only touched ones are rows; all others have untouched_status.
    task_count INTEGER NOT NULL,
    untouched INTEGER NOT NULL,
    untouched_status TEXT NOT NULL,
    -- Below it, every ordinal is a row.
    next_ordinal INTEGER NOT NULL DEFAULT 0,
    -- Moving average of the seconds that a task ran, and of how many.
    mean_seconds REAL,
    samples INTEGER NOT NULL DEFAULT 0,
    n_pending INTEGER NOT NULL DEFAULT 0,
    n_ready INTEGER NOT NULL DEFAULT 0,
    n_assigned INTEGER NOT NULL DEFAULT 0,
    n_starting INTEGER NOT NULL DEFAULT 0,
    n_scheduled INTEGER NOT NULL DEFAULT 0,
    n_interrupting INTEGER NOT NULL DEFAULT 0,
    n_running INTEGER NOT NULL DEFAULT 0,
    n_suspended INTEGER NOT NULL DEFAULT 0,
    n_canceled INTEGER NOT NULL DEFAULT 0,
    n_failed INTEGER NOT NULL DEFAULT 0,
    n_succeeded INTEGER NOT NULL DEFAULT 0,
    n_not_compatible INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER,
    updated_by TEXT,
    started_at INTEGER,
    ended_at INTEGER
) STRICT;
CREATE INDEX step_job ON step (job_seq, seq);
CREATE INDEX step_ready ON step (job_seq) WHERE n_ready > 0;

CREATE TABLE step_dependency (
    step_seq INTEGER NOT NULL REFERENCES step (seq),
    depends_on INTEGER NOT NULL REFERENCES step (seq),
    PRIMARY KEY (step_seq, depends_on)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_dependency_consumers ON step_dependency (depends_on);

CREATE TABLE task (
    step_seq INTEGER NOT NULL REFERENCES step (seq),
    ordinal INTEGER NOT NULL,
    status TEXT NOT NULL,
    target_status TEXT,
    failure_retry_count INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    ended_at INTEGER,
    updated_at INTEGER,
    updated_by TEXT,
    latest_session INTEGER,
    latest_action INTEGER,
    -- Only where the ordinal alone does not say it: chunks whose size was decided while the step ran.
    parameters TEXT,
    PRIMARY KEY (step_seq, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_status ON task (step_seq, status, ordinal);

CREATE TABLE session (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL UNIQUE,
    farm_id TEXT NOT NULL,
    queue_id TEXT NOT NULL,
    job_seq INTEGER NOT NULL REFERENCES job (seq),
    -- The step whose tasks it runs now, and whose amounts it holds.
    step_seq INTEGER NOT NULL REFERENCES step (seq),
    fleet_id TEXT NOT NULL,
    worker_id TEXT NOT NULL,
    lifecycle_status TEXT NOT NULL,
    target_lifecycle_status TEXT,
    host_properties TEXT NOT NULL,
    -- {amount name: quantity} taken from the worker while it lasts.
    reserved TEXT NOT NULL,
    next_action INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    updated_at INTEGER,
    updated_by TEXT
) STRICT;
CREATE INDEX session_job ON session (job_seq, seq);
CREATE INDEX session_worker ON session (worker_id, seq);
CREATE INDEX session_open ON session (worker_id) WHERE ended_at IS NULL;
CREATE INDEX session_open_job ON session (job_seq) WHERE ended_at IS NULL;

CREATE TABLE session_action (
    session_seq INTEGER NOT NULL REFERENCES session (seq),
    number INTEGER NOT NULL,
    -- envEnter, envExit, taskRun, syncInputJobAttachments
    kind TEXT NOT NULL,
    step_seq INTEGER,
    ordinal INTEGER,
    environment_id TEXT,
    status TEXT NOT NULL,
    -- session_seq while it waits for its result, then NULL: the index of open actions stays as small as they are few.
    open_session INTEGER,
    started_at INTEGER,
    ended_at INTEGER,
    worker_updated_at INTEGER,
    progress_percent REAL,
    progress_message TEXT,
    exit_code INTEGER,
    manifests TEXT,
    PRIMARY KEY (session_seq, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_action_open ON session_action (open_session, number) WHERE open_session IS NOT NULL;
CREATE INDEX session_action_task ON session_action (step_seq, ordinal) WHERE kind = 'taskRun';

-- First answers of calls with a client token.
CREATE TABLE client_token (
    principal TEXT NOT NULL,
    operation TEXT NOT NULL,
    token TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    reply TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (principal, operation, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_token_age ON client_token (created_at);
