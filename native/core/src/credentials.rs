//! The resolved target of a call, and where its credentials come from.
//!
//! A [`Target`] is all that a call needs to know about farm, endpoints and keys. It is given by the caller, or resolved
//! here from the configuration file, the AWS files and the environment; nothing below this module reads any of them.

mod network;
mod profile_names;
mod profiles;

use std::fmt;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::os_shim_internal::{Env, Fs};

use crate::config::Config;
use crate::error::{CoreError, Result};

pub use network::{Network, host, is_address, is_loopback};
pub use profiles::{CredentialsSource, ProfileLogin};

use profiles::AwsProfile;

/// A service that a target may name an endpoint for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Deadline Cloud, or the local farm.
    Deadline,
    /// Object storage.
    S3,
    /// Identity.
    Sts,
    /// Session logs.
    Logs,
}

/// A resolved target. As a dict it is `shotput.local_farm.Target`.
#[derive(Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Target {
    /// The farm; empty when none is chosen.
    pub farm_id: String,
    /// The queue; empty when none is chosen.
    pub queue_id: String,
    /// The storage profile of this machine.
    pub storage_profile_id: Option<String>,
    /// The AWS region; empty when none is known.
    pub region: String,
    /// Where Deadline Cloud answers; `None` is AWS itself.
    pub endpoint_url: Option<String>,
    /// Where S3 answers.
    pub s3_endpoint_url: Option<String>,
    /// Where STS answers.
    pub sts_endpoint_url: Option<String>,
    /// Where CloudWatch Logs answers.
    pub logs_endpoint_url: Option<String>,
    /// Keys; without them the AWS chain (environment, profile, single sign-on, processes, instance roles) is asked.
    pub access_key_id: Option<String>,
    /// The secret of `access_key_id`.
    pub secret_access_key: Option<String>,
    /// The session token of temporary keys.
    pub session_token: Option<String>,
    /// The AWS profile; `None` is the default chain.
    pub profile: Option<String>,
    /// Requests to S3 at once, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_max_pool_connections: Option<u32>,
    /// Files up to this many times 8 MiB count as small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub small_file_threshold_multiplier: Option<u32>,
    /// The user of a monitor login: lists show what this user may see.
    #[serde(skip)]
    pub principal_id: Option<String>,
    /// The monitor of such a login.
    #[serde(skip)]
    pub monitor_id: Option<String>,
    /// The region of the AWS profile, where its credentials are renewed. The farm may be in another.
    #[serde(skip)]
    pub profile_region: Option<String>,
    /// A proxy for all that is not loopback.
    #[serde(skip)]
    pub proxy: Option<String>,
    /// PEM file of trusted certificates.
    #[serde(skip)]
    pub ca_bundle: Option<std::path::PathBuf>,
    /// Whether nothing is put before the host of the Deadline endpoint.
    #[serde(skip)]
    pub keep_host: bool,
    /// Who submits, for the user agent.
    #[serde(skip)]
    pub submitter: Option<String>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("farm_id", &self.farm_id)
            .field("queue_id", &self.queue_id)
            .field("region", &self.region)
            .field("endpoint_url", &self.endpoint_url)
            .field("s3_endpoint_url", &self.s3_endpoint_url)
            .field("access_key_id", &self.access_key_id)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Resolves the target of a configuration: farm, queue and storage profile from it, the rest from its AWS profile
    /// and the environment.
    pub async fn resolve(config: &Config) -> Result<Self> {
        Self::resolve_in(config, &Env::real(), &Fs::real()).await
    }

    /// As [`Target::resolve`], in the given environment and file system.
    pub async fn resolve_in(config: &Config, env: &Env, fs: &Fs) -> Result<Self> {
        let profile = AwsProfile::load(config, env, fs).await?;
        profile.require(config)?;
        let setting = |name: &str| config.get(name).map(|value| Some(value).filter(|value| !value.is_empty()));
        let endpoints = Endpoints::of(&profile);
        let network = Network::from_environment(env);
        let keep_host =
            !network.inject_host_prefix || profile.get("disable_host_prefix_injection").is_some_and(network::is_true);
        let profile_region = profile
            .variable("AWS_REGION")
            .or_else(|| profile.variable("AWS_DEFAULT_REGION"))
            .or_else(|| profile.get("region").map(str::to_owned));
        let region = setting("defaults.farm_region")?.or_else(|| profile_region.clone());
        let ca_bundle = setting("settings.ca_bundle")?
            .map(|path| crate::config::expand_home(&path))
            .or(network.ca_bundle)
            .or_else(|| profile.get("ca_bundle").map(crate::config::expand_home));
        let of_monitor = |key: &str| match profile.source() {
            CredentialsSource::DeadlineCloudMonitorLogin => profile.get(key).map(str::to_owned),
            _ => None,
        };
        let number = |name: &str| -> Result<Option<u32>> {
            let Some(text) = setting(name)? else { return Ok(None) };
            let read = text.trim().parse().ok();
            if read.is_none() {
                log::warn!("The setting {name} is {text:?}, which is no whole number; it counts as not set");
            }
            Ok(read)
        };
        Ok(Self {
            s3_max_pool_connections: number("settings.s3_max_pool_connections")?,
            small_file_threshold_multiplier: number("settings.small_file_threshold_multiplier")?,
            farm_id: config.get("defaults.farm_id")?,
            queue_id: config.get("defaults.queue_id")?,
            storage_profile_id: setting("settings.storage_profile_id")?,
            region: region.unwrap_or_default(),
            endpoint_url: endpoints.deadline,
            s3_endpoint_url: endpoints.s3,
            sts_endpoint_url: endpoints.sts,
            logs_endpoint_url: endpoints.logs,
            profile: profile.name.clone(),
            profile_region,
            principal_id: of_monitor("user_id"),
            monitor_id: of_monitor("monitor_id"),
            proxy: setting("settings.https_proxy")?,
            ca_bundle,
            keep_host,
            ..Self::default()
        })
    }

    /// Completes a target that the caller gave whole: only the network settings of the environment are added.
    pub fn with_environment(mut self) -> Self {
        let network = Network::from_environment(&Env::real());
        self.ca_bundle = network.ca_bundle;
        self.keep_host = !network.inject_host_prefix;
        self
    }

    /// The endpoint that was given for a service.
    pub fn endpoint(&self, endpoint: Endpoint) -> Option<&str> {
        match endpoint {
            Endpoint::Deadline => self.endpoint_url.as_deref(),
            Endpoint::S3 => self.s3_endpoint_url.as_deref(),
            Endpoint::Sts => self.sts_endpoint_url.as_deref(),
            Endpoint::Logs => self.logs_endpoint_url.as_deref(),
        }
    }

    /// Where requests to a service go: the endpoint that was given, else that of AWS.
    pub fn url(&self, endpoint: Endpoint) -> Result<String> {
        let url = match self.endpoint(endpoint) {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let region = self.region()?;
                let suffix = if region.as_ref().starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                let service = match endpoint {
                    Endpoint::Deadline => "deadline",
                    Endpoint::S3 => "s3",
                    Endpoint::Sts => "sts",
                    Endpoint::Logs => "logs",
                };
                format!("https://{service}.{region}.{suffix}")
            }
        };
        match url.split_once("://") {
            Some((scheme, rest)) if endpoint == Endpoint::Deadline && self.injects_host_prefix() => {
                Ok(format!("{scheme}://management.{rest}"))
            }
            _ => Ok(url),
        }
    }

    /// Whether this is a login through the Deadline Cloud monitor.
    pub fn is_monitor_login(&self) -> bool {
        self.principal_id.is_some()
    }

    /// The network settings.
    pub fn network(&self) -> Network {
        Network { proxy: self.proxy.clone(), ca_bundle: self.ca_bundle.clone(), inject_host_prefix: !self.keep_host }
    }

    /// Whether `management.` goes before the host of the Deadline endpoint: not when switched off, and never before a
    /// number, where no name can come of it.
    pub fn injects_host_prefix(&self) -> bool {
        !self.keep_host && !self.endpoint_url.as_deref().and_then(host).is_some_and(is_address)
    }

    /// The region. Endpoints of one's own need none to be reached; `us-west-2` is what the local farm signs for.
    pub fn region(&self) -> Result<Region> {
        if !self.region.is_empty() {
            return Ok(Region::new(self.region.clone()));
        }
        if self.endpoint_url.is_some() {
            return Ok(Region::from_static("us-west-2"));
        }
        Err(CoreError::Config(
            "No AWS region is known. Set AWS_DEFAULT_REGION, or `region` in the AWS profile, or defaults.farm_region \
             in the configuration."
                .into(),
        ))
    }

    /// The credentials: the keys of the target, else the AWS chain.
    pub async fn credentials(&self) -> Result<SharedCredentialsProvider> {
        if let (Some(key), Some(secret)) = (&self.access_key_id, &self.secret_access_key) {
            let keys = Credentials::new(key, secret, self.session_token.clone(), None, "shotput target");
            return Ok(SharedCredentialsProvider::new(keys));
        }
        let env = Env::real();
        let has_keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
            .iter()
            .all(|name| env.get(name).is_ok_and(|value| !value.trim().is_empty()));
        if self.profile.is_none() && has_keys {
            // The first link of the AWS chain. Setting up the others costs more than the call that is made with it.
            return Ok(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()));
        }
        // Single sign-on, console sign-ins and roles are asked at AWS even when the farm is not.
        let region = self.profile_region.clone().map_or_else(|| self.region(), |region| Ok(Region::new(region)))?;
        let provider_config = ProviderConfig::default()
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_region(Some(region))
            .with_http_client(self.network().http_client(None)?);
        Ok(match &self.profile {
            // A named profile comes before keys in the environment, as with every other tool that is given a profile.
            Some(name) => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .profile_files(profile_names::files(&env, &Fs::real()).await)
                    .profile_name(profile_names::known_as(name))
                    .configure(&provider_config)
                    .build(),
            ),
            None => SharedCredentialsProvider::new(
                aws_config::default_provider::credentials::DefaultCredentialsChain::builder()
                    .configure(provider_config)
                    .build()
                    .await,
            ),
        })
    }

    /// What an SDK client for one service is made of.
    pub async fn sdk_config(&self, endpoint: Endpoint) -> Result<SdkConfig> {
        let credentials = self.credentials().await?;
        self.sdk_config_with(endpoint, credentials)
    }

    /// As [`Target::sdk_config`], with other credentials.
    pub fn sdk_config_with(&self, endpoint: Endpoint, credentials: SharedCredentialsProvider) -> Result<SdkConfig> {
        let url = self.endpoint(endpoint);
        let mut retries = RetryConfig::standard();
        if url.and_then(host).is_some_and(is_loopback) {
            // Nobody else competes for a local service: what it cannot do at once it can do in a moment, or not at all.
            retries = retries.with_initial_backoff(Duration::from_millis(50));
        }
        let app = AppName::new(concat!("deadline-client#", env!("CARGO_PKG_VERSION")))
            .map_err(|err| CoreError::Operation(format!("Cannot name the client: {err}.")))?;
        let mut builder = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(self.region()?)
            .credentials_provider(credentials)
            .http_client(self.network().http_client(url)?)
            .retry_config(retries)
            .timeout_config(TimeoutConfig::builder().read_timeout(Duration::from_secs(60)).build())
            .app_name(app);
        builder.set_endpoint_url(url.map(str::to_owned));
        Ok(builder.build())
    }
}

/// Where the credentials of a configuration come from. Files are read, nothing is asked over the network.
pub async fn credentials_source(config: &Config) -> Result<CredentialsSource> {
    credentials_source_in(config, &Env::real(), &Fs::real()).await
}

/// As [`credentials_source`], in the given environment and file system.
pub async fn credentials_source_in(config: &Config, env: &Env, fs: &Fs) -> Result<CredentialsSource> {
    Ok(AwsProfile::load(config, env, fs).await?.source())
}

/// Who logs in to the profile of a configuration. Files are read, nothing is asked over the network.
///
/// # Errors
/// `UnsupportedProfile` when there is no such profile.
pub async fn login_of(config: &Config) -> Result<ProfileLogin> {
    let profile = AwsProfile::load(config, &Env::real(), &Fs::real()).await?;
    profile.require(config).map_err(|err| CoreError::UnsupportedProfile(err.to_string()))?;
    Ok(profile.login())
}

#[derive(Default)]
struct Endpoints {
    deadline: Option<String>,
    s3: Option<String>,
    sts: Option<String>,
    logs: Option<String>,
}

impl Endpoints {
    fn of(profile: &AwsProfile) -> Self {
        let ignored = profile
            .variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .or_else(|| profile.get("ignore_configured_endpoint_urls").map(str::to_owned))
            .is_some_and(|value| network::is_true(&value));
        if ignored {
            return Self::default();
        }
        let url = |service: &'static str| profile.service_setting(service, "AWS_ENDPOINT_URL", "endpoint_url");
        Self {
            deadline: url("deadline"),
            s3: url("s3"),
            sts: url("sts"),
            // The AWS tools know the first spelling, the official client's rewrite the second.
            logs: profile
                .variable("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
                .or_else(|| profile.variable("AWS_ENDPOINT_URL_CLOUDWATCHLOGS"))
                .or_else(|| url("CloudWatch Logs")),
        }
    }
}
