//! The table of settings: every setting that any version of the client knows.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// `section.key`.
    pub name: &'static str,
    /// What it is when nothing is stored. `{aws_profile_name}` is replaced.
    pub default: &'static str,
    /// The setting under whose value this one is stored.
    pub scope: Option<&'static str>,
    /// How the value of this setting stands in the section names of those stored under it; `{}` is the value.
    pub section_format: &'static str,
    /// How the value is kept in the file.
    pub kind: Kind,
    /// One sentence about it.
    pub description: &'static str,
}

/// How a value is kept in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Text,
    /// With `/`, on Windows given back with `\`.
    Path,
    /// Several paths, separated as in `PATH`.
    Paths,
}

const PROFILE: Option<&str> = Some("defaults.aws_profile_name");
const FARM: Option<&str> = Some("defaults.farm_id");
const QUEUE: Option<&str> = Some("defaults.queue_id");

const fn text(
    name: &'static str,
    default: &'static str,
    scope: Option<&'static str>,
    description: &'static str,
) -> Setting {
    Setting { name, default, scope, section_format: "{}", kind: Kind::Text, description }
}

const fn kept_as(kind: Kind, setting: Setting) -> Setting {
    Setting { kind, ..setting }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    kept_as(
        Kind::Path,
        text(
            "deadline-cloud-monitor.path",
            "",
            None,
            "The program of the Deadline Cloud monitor; its login stores it.",
        ),
    ),
    Setting {
        name: "defaults.aws_profile_name",
        default: "(default)",
        scope: None,
        section_format: "profile-{}",
        kind: Kind::Text,
        description: "The AWS profile. Farm, queue and what belongs to them are stored for each.",
    },
    kept_as(
        Kind::Path,
        text(
            "settings.job_history_dir",
            "~/.deadline/job_history/{aws_profile_name}",
            PROFILE,
            "The folder that keeps the bundles of submitted jobs.",
        ),
    ),
    text("defaults.farm_id", "", PROFILE, "The farm."),
    text("defaults.farm_region", "", FARM, "The farm's region; empty for that of the profile."),
    text(
        "settings.storage_profile_id",
        "",
        FARM,
        "The storage profile of this machine: where shared file systems are mounted.",
    ),
    text("defaults.queue_id", "", FARM, "The queue."),
    text("defaults.job_id", "", QUEUE, "The job that was submitted last."),
    text("settings.auto_accept", "false", None, "Whether submissions answer their questions with yes."),
    text(
        "settings.conflict_resolution",
        "NOT_SELECTED",
        None,
        "What becomes of a file that is in the way of a download: NOT_SELECTED, SKIP, OVERWRITE or CREATE_COPY.",
    ),
    text("settings.log_level", "WARNING", None, "The least of what is logged: DEBUG, INFO, WARNING or ERROR."),
    text(
        "settings.deadline_regions",
        "",
        None,
        "The regions that are asked for farms, separated by commas; empty for all.",
    ),
    text("telemetry.opt_out", "false", None, "Whether to opt out of events about usage: with true, none are sent."),
    text("telemetry.identifier", "", None, "The random name under which events about usage are sent."),
    text(
        "defaults.job_attachments_file_system",
        "COPIED",
        FARM,
        "How workers get a job's files: COPIED, or VIRTUAL when they are read.",
    ),
    text("settings.s3_max_pool_connections", "50", None, "The most connections to an S3 bucket at once."),
    text(
        "settings.small_file_threshold_multiplier",
        "20",
        None,
        "Files of up to so many times 8 MiB count as small ones when they are sent.",
    ),
    kept_as(
        Kind::Paths,
        text(
            "settings.known_asset_paths",
            "",
            None,
            "Folders from which files are sent without a question, separated as in PATH.",
        ),
    ),
    text("settings.locale", "", None, "The language of user interfaces; empty for the system's."),
    text(
        "settings.force_s3_check",
        "false",
        None,
        "Whether the bucket is asked for files that the cache says are there.",
    ),
    text(
        "settings.allow_bundle_hooks",
        "false",
        None,
        "Whether programs that a job bundle names run when it is submitted.",
    ),
    text(
        "settings.allow_environment_hooks",
        "false",
        None,
        "Whether programs that the folder DEADLINE_HOOKS_DIR names run when a job is submitted.",
    ),
    text("settings.submitter_update_notification", "true", None, "Whether submitters tell of newer versions."),
    text("settings.max_retries_per_task", "5", None, "How often a task is tried again, unless a job says otherwise."),
    text(
        "settings.max_failed_tasks_count",
        "20",
        None,
        "After how many failed tasks a job fails, unless it says otherwise.",
    ),
    text("settings.https_proxy", "", None, "The proxy for requests to AWS."),
    kept_as(
        Kind::Path,
        text("settings.ca_bundle", "", None, "A file with the certificates that requests to AWS trust."),
    ),
    kept_as(
        Kind::Path,
        text(
            "settings.job_bundle_default_directory",
            "",
            PROFILE,
            "The folder in which dialogs look for job bundles first.",
        ),
    ),
];
