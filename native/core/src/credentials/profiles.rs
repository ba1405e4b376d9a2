//! The AWS configuration and credentials files, and what a profile says about its credentials.

use std::borrow::Cow;

use aws_config::profile::{self, Profile, ProfileSet};
use aws_runtime::env_config::EnvConfigValue;
use aws_types::os_shim_internal::{Env, Fs};

use super::profile_names::{files, known_as};
use crate::config::Config;
use crate::error::{CoreError, Result};

/// Where credentials come from. The names are those of the official client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CredentialsSource {
    /// The configured profile does not exist.
    NotValid,
    /// Environment, files, processes, instance roles: whatever the AWS chain finds.
    HostProvided,
    /// A profile that the Deadline Cloud monitor made.
    DeadlineCloudMonitorLogin,
    /// A profile of a sign-in to the AWS console, by `aws login`.
    AwsConsoleLogin,
}

/// Who logs in to an AWS profile.
#[derive(Debug, PartialEq, Eq)]
pub enum ProfileLogin {
    /// Nobody that this client knows.
    None,
    /// The Deadline Cloud monitor.
    Monitor,
    /// Whoever opens a browser for a sign-in to the AWS console.
    Console {
        /// The identity that signed in; its keys are kept under this name.
        session: String,
    },
}

/// The AWS profile of a configuration, with the files it was looked up in.
pub(super) struct AwsProfile {
    /// The configured name; `None` is the default chain.
    pub name: Option<String>,
    sections: Option<ProfileSet>,
    env: Env,
    unreadable: Option<String>,
}

impl AwsProfile {
    /// Looks up the profile of `config`.
    pub async fn load(config: &Config, env: &Env, fs: &Fs) -> Result<Self> {
        let configured = config.get("defaults.aws_profile_name")?;
        let name = if ["(default)", "default", ""].contains(&configured.as_str()) { None } else { Some(configured) };
        let selected = name.as_deref().map(|name| Cow::Owned(known_as(name).into_owned()));
        let (sections, unreadable) = match profile::load(fs, env, &files(env, fs).await, selected).await {
            Ok(sections) => (Some(sections), None),
            Err(err) => (None, Some(crate::service::chain(&err))),
        };
        Ok(Self { name, sections, env: env.clone(), unreadable })
    }

    fn profile(&self) -> Option<&Profile> {
        let sections = self.sections.as_ref()?;
        sections.get_profile(sections.selected_profile())
    }

    /// A key of the profile.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.profile()?.get(key).filter(|value| !value.is_empty())
    }

    /// A setting that environment and profile may give, also for one service: `AWS_ENDPOINT_URL` and its kin.
    pub fn service_setting(&self, service_id: &'static str, variable: &str, key: &'static str) -> Option<String> {
        // Not left to `EnvConfigValue`: it takes a variable that is set to nothing for an answer, where botocore goes on.
        let of_service = format!("{variable}_{}", service_id.to_uppercase().replace(' ', "_"));
        let value = self.variable(&of_service).or_else(|| self.variable(variable)).or_else(|| {
            let profile = EnvConfigValue::new().service_id(service_id).profile(key);
            Some(profile.load(&Env::from_slice(&[]), self.sections.as_ref())?.0.into_owned())
        })?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// An environment variable that is not empty.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).ok().filter(|value| !value.is_empty())
    }

    pub fn login(&self) -> ProfileLogin {
        match (self.get("monitor_id"), self.get("login_session")) {
            (Some(_), _) => ProfileLogin::Monitor,
            (None, Some(session)) => ProfileLogin::Console { session: session.to_owned() },
            (None, None) => ProfileLogin::None,
        }
    }

    pub fn source(&self) -> CredentialsSource {
        match self.login() {
            ProfileLogin::Monitor => CredentialsSource::DeadlineCloudMonitorLogin,
            ProfileLogin::Console { .. } => CredentialsSource::AwsConsoleLogin,
            ProfileLogin::None if self.name.is_some() && self.profile().is_none() => CredentialsSource::NotValid,
            ProfileLogin::None => CredentialsSource::HostProvided,
        }
    }

    /// Refuses a configured profile that does not exist.
    pub fn require(&self, config: &Config) -> Result<()> {
        let (Some(name), CredentialsSource::NotValid) = (&self.name, self.source()) else {
            return Ok(());
        };
        if let Some(why) = &self.unreadable {
            return Err(CoreError::Config(format!(
                "Cannot read the AWS configuration files for the profile {name:?}: {why}."
            )));
        }
        Err(CoreError::Config(format!(
            "The AWS profile {name:?} (setting defaults.aws_profile_name in {}) is in neither of the AWS files {} and \
             {}. Add the profile there, or set defaults.aws_profile_name to another one.",
            config.path().display(),
            self.file("AWS_CONFIG_FILE", "~/.aws/config"),
            self.file("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        )))
    }

    fn file(&self, variable: &str, default: &str) -> String {
        self.variable(variable).unwrap_or_else(|| default.to_owned())
    }
}
