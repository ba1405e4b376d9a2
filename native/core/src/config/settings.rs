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

const fn text(name: &'static str, default: &'static str, scope: Option<&'static str>) -> Setting {
    Setting { name, default, scope, section_format: "{}", kind: Kind::Text }
}

const fn kept_as(kind: Kind, setting: Setting) -> Setting {
    Setting { kind, ..setting }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    kept_as(Kind::Path, text("deadline-cloud-monitor.path", "", None)),
    Setting {
        name: "defaults.aws_profile_name",
        default: "(default)",
        scope: None,
        section_format: "profile-{}",
        kind: Kind::Text,
    },
    kept_as(Kind::Path, text("settings.job_history_dir", "~/.deadline/job_history/{aws_profile_name}", PROFILE)),
    text("defaults.farm_id", "", PROFILE),
    text("defaults.farm_region", "", FARM),
    text("settings.storage_profile_id", "", FARM),
    text("defaults.queue_id", "", FARM),
    text("defaults.job_id", "", QUEUE),
    text("settings.auto_accept", "false", None),
    text("settings.conflict_resolution", "NOT_SELECTED", None),
    text("settings.log_level", "WARNING", None),
    text("settings.deadline_regions", "", None),
    text("telemetry.opt_out", "false", None),
    text("telemetry.identifier", "", None),
    text("defaults.job_attachments_file_system", "COPIED", FARM),
    text("settings.s3_max_pool_connections", "50", None),
    text("settings.small_file_threshold_multiplier", "20", None),
    kept_as(Kind::Paths, text("settings.known_asset_paths", "", None)),
    text("settings.locale", "", None),
    text("settings.force_s3_check", "false", None),
    text("settings.allow_bundle_hooks", "false", None),
    text("settings.allow_environment_hooks", "false", None),
    text("settings.submitter_update_notification", "true", None),
    text("settings.max_retries_per_task", "5", None),
    text("settings.max_failed_tasks_count", "20", None),
    text("settings.https_proxy", "", None),
    kept_as(Kind::Path, text("settings.ca_bundle", "", None)),
    kept_as(Kind::Path, text("settings.job_bundle_default_directory", "", PROFILE)),
];
