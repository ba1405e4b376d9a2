//! How bytes reach a service: name resolution, TLS, proxies.
//!
//! `localhost` and every name below it are loopback (RFC 6761), which many systems' resolvers do not know. Loopback is
//! never reached through a proxy. Certificates of the system are loaded only where TLS can be needed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient};
use aws_types::os_shim_internal::Env;
use hyper_util::client::proxy::matcher::Matcher;

use crate::config;
use crate::error::{CoreError, Result};

/// Resolved network settings of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// A proxy for all services that are not loopback; without one, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` decide.
    pub proxy: Option<String>,
    /// PEM file of certificates that are trusted in place of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Whether `management.` and `scheduling.` are put before the host of the Deadline endpoint.
    pub inject_host_prefix: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self { proxy: None, ca_bundle: None, inject_host_prefix: true }
    }
}

impl Network {
    /// What the environment says: `AWS_CA_BUNDLE`, `AWS_DISABLE_HOST_PREFIX_INJECTION`.
    pub fn from_environment(env: &Env) -> Self {
        let set = |name: &str| env.get(name).ok().filter(|value| !value.is_empty());
        Self {
            proxy: None,
            ca_bundle: set("AWS_CA_BUNDLE").map(|path| config::expand_home(&path)),
            inject_host_prefix: !set("AWS_DISABLE_HOST_PREFIX_INJECTION").is_some_and(|value| is_true(&value)),
        }
    }

    /// A client for one endpoint; `None` is the endpoint that AWS itself gives a service.
    pub fn http_client(&self, endpoint: Option<&str>) -> Result<SharedHttpClient> {
        let plan = self.plan(endpoint)?;
        Ok(Builder::new().build_with_connector_fn(move |settings, components| {
            let sleep = components.and_then(|components| components.sleep_impl());
            let mut builder = Connector::builder();
            builder.set_sleep_impl(sleep);
            plan.connector(builder.connector_settings(settings.cloned().unwrap_or_default()))
        }))
    }

    /// As [`Network::http_client`], one level below: for calls that no SDK crate makes for us.
    pub fn connector(&self, endpoint: &str, settings: HttpConnectorSettings) -> Result<Connector> {
        Ok(self.plan(Some(endpoint))?.connector(Connector::builder().connector_settings(settings)))
    }

    /// The proxy that requests to a URL go through; none for loopback and for what `NO_PROXY` names.
    pub fn proxy_for(&self, url: &str) -> Option<String> {
        if host(url).is_some_and(is_loopback) {
            return None;
        }
        if let Some(proxy) = &self.proxy {
            return Some(proxy.clone());
        }
        Some(Matcher::from_env().intercept(&url.parse().ok()?)?.uri().to_string())
    }

    fn plan(&self, endpoint: Option<&str>) -> Result<Plan> {
        let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
        let mut trust = TrustStore::empty();
        if !plain {
            match &self.ca_bundle {
                Some(path) => trust = trust.with_pem_certificate(read_bundle(path)?),
                None => trust = trust.with_native_roots(true),
            }
        }
        let tls = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .map_err(|err| CoreError::Config(format!("Cannot set up TLS: {err}.")))?;
        let proxy = match &self.proxy {
            _ if endpoint.and_then(host).is_some_and(is_loopback) => ProxyConfig::disabled(),
            Some(proxy) => ProxyConfig::all(proxy.as_str()).map_err(|err| {
                CoreError::Config(format!(
                    "The proxy {proxy:?} is not valid: {err}. Set settings.https_proxy to a URL such as \
                     http://proxy.example.com:8080, or to nothing."
                ))
            })?,
            None => ProxyConfig::from_env(),
        };
        Ok(Plan { tls, proxy })
    }
}

struct Plan {
    tls: TlsContext,
    proxy: ProxyConfig,
}

impl Plan {
    // A plain connector takes no resolver, so that `http://` too goes through the TLS builder, with an empty trust
    // store.
    fn connector(&self, builder: aws_smithy_http_client::ConnectorBuilder) -> Connector {
        builder
            .proxy_config(self.proxy.clone())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(self.tls.clone())
            .build_with_resolver(LoopbackFirst)
    }
}

fn read_bundle(path: &PathBuf) -> Result<Vec<u8>> {
    let refuse = |what: String| {
        CoreError::Config(format!(
            "The CA bundle {} {what}. Set settings.ca_bundle or AWS_CA_BUNDLE to a PEM file of certificates.",
            path.display()
        ))
    };
    let bytes = std::fs::read(path).map_err(|err| refuse(format!("cannot be read: {err}")))?;
    let text = String::from_utf8_lossy(&bytes);
    if !text.contains("-----BEGIN CERTIFICATE-----") || !text.contains("-----END CERTIFICATE-----") {
        return Err(refuse("holds no certificate".into()));
    }
    Ok(bytes)
}

/// The host of a URL, without port and brackets.
pub fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split(']').next();
    }
    authority.split(':').next().filter(|host| !host.is_empty())
}

/// Whether a host is this machine by its name or number alone.
pub fn is_loopback(host: &str) -> bool {
    is_localhost(host) || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a host is a number. Nothing can be put before it.
pub fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

pub(super) fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

#[derive(Debug, Clone)]
struct LoopbackFirst;

impl ResolveDns for LoopbackFirst {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        if is_localhost(name) {
            return DnsFuture::ready(Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
        }
        let name = name.to_owned();
        DnsFuture::new(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(ResolveDnsError::new)?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
