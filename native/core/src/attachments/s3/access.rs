//! Where the objects are, with which rights, and over which connections.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::{BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};

use crate::Result;
use crate::credentials::{Endpoint, Network, Target, host, is_loopback};
use crate::service::{QueueRole, Service};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the objects are and with which rights.
#[derive(Debug, Clone)]
pub struct S3Access {
    /// Region to sign for.
    pub region: String,
    /// Another endpoint than AWS; with it, requests are in path style.
    pub endpoint_url: Option<String>,
    /// Keys; a provider that refreshes serves transfers that outlast one set of keys.
    pub credentials: SharedCredentialsProvider,
    /// Account that the bucket must belong to.
    pub expected_bucket_owner: Option<String>,
    /// Proxy and certificates, those of the target.
    pub network: Network,
    /// How much is under way at once.
    pub limits: Limits,
}

/// How much is under way at once, as the settings of the configuration say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests at most (`settings.s3_max_pool_connections`).
    pub connections: usize,
    /// Bytes of the largest file that counts as small, sent beside others
    /// (`settings.small_file_threshold_multiplier` × 8 MiB).
    pub small_file: u64,
}

impl Limits {
    /// Of settings; those that are missing count as they do when nobody set them.
    #[must_use]
    pub fn new(connections: Option<u32>, multiplier: Option<u32>) -> Self {
        Self {
            connections: connections.unwrap_or(50).max(1) as usize,
            small_file: 8 * 1024 * 1024 * u64::from(multiplier.unwrap_or(20)),
        }
    }
}

impl S3Access {
    /// Access with a fixed set of keys.
    #[must_use]
    pub fn with_keys(
        region: &str,
        endpoint_url: Option<&str>,
        access_key_id: &str,
        secret_access_key: &str,
        session_token: Option<&str>,
    ) -> Self {
        let token = session_token.map(str::to_owned);
        let keys = Credentials::new(access_key_id, secret_access_key, token, None, "shotput");
        Self {
            region: region.into(),
            endpoint_url: endpoint_url.map(|url| url.trim_end_matches('/').into()),
            credentials: SharedCredentialsProvider::new(keys),
            expected_bucket_owner: None,
            network: Network::default(),
            limits: Limits::new(None, None),
        }
    }

    /// Access with the rights of a target.
    ///
    /// # Errors
    /// `Config` when no region is known; `Service` when nobody can say whose rights they are.
    pub async fn of_target(target: &Target) -> Result<Self> {
        let credentials = target.credentials().await?;
        Self::pinned(&Service::connect(target).await?, credentials).await
    }

    /// Access with the rights that a user of a queue has; with `read_only` those that only read. `queue_name` is what
    /// errors call the queue.
    ///
    /// # Errors
    /// As [`S3Access::of_target`], and `Service` when the role cannot be assumed.
    pub async fn of_queue(
        service: &Service,
        farm_id: &str,
        queue_id: &str,
        queue_name: &str,
        read_only: bool,
    ) -> Result<Self> {
        let role = QueueRole::new(service, farm_id, queue_id, queue_name, read_only);
        // Asked for once here, so that a refusal is told as what it is and not as a failed transfer.
        role.credentials().await?;
        Self::pinned(service, role.provider()).await
    }

    /// Access that is pinned to the account of its credentials: a bucket of somebody else is refused, whatever its name.
    ///
    /// # Errors
    /// As [`S3Access::of_target`].
    pub async fn pinned(service: &Service, credentials: SharedCredentialsProvider) -> Result<Self> {
        let target = service.target();
        let is_local = target.endpoint(Endpoint::Deadline).and_then(host).is_some_and(is_loopback);
        // A store of one's own, without an STS beside it, has no account that AWS could tell.
        let own_store = is_local || target.endpoint(Endpoint::S3).is_some();
        let owner = if own_store && target.endpoint(Endpoint::Sts).is_none() {
            None
        } else {
            Some(service.caller_account(credentials.clone()).await?)
        };
        Ok(Self {
            region: target.region()?.to_string(),
            endpoint_url: target.endpoint(Endpoint::S3).map(|url| url.trim_end_matches('/').to_owned()),
            credentials,
            expected_bucket_owner: owner,
            network: target.network(),
            limits: Limits::new(target.s3_max_pool_connections, target.small_file_threshold_multiplier),
        })
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.endpoint_url.as_deref().and_then(host).is_some_and(is_loopback)
    }
}

/// The pool of connections: certificates, proxy and `*.localhost` as everywhere in the client.
pub(super) fn connector(access: &S3Access) -> Result<SharedHttpConnector> {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
    let endpoint = access.endpoint_url.clone().unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", access.region));
    Ok(SharedHttpConnector::new(access.network.connector(&endpoint, settings)?))
}

pub(super) fn client_with(access: &S3Access, connector: SharedHttpConnector) -> aws_sdk_s3::Client {
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(access.region.clone()))
        .credentials_provider(access.credentials.clone())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .http_client(http_client_fn(move |_, _| connector.clone()));
    if let Some(url) = &access.endpoint_url {
        config = config.endpoint_url(url).force_path_style(true);
    }
    aws_sdk_s3::Client::from_conf(config.build())
}

/// A client of the SDK; in path style when an endpoint is set.
///
/// # Errors
/// `Config` when the certificates that the target names cannot be read.
pub fn client(access: &S3Access) -> Result<aws_sdk_s3::Client> {
    Ok(client_with(access, connector(access)?))
}
