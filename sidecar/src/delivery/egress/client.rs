//! The HTTP client behind the guard, and what its failures mean.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use rustls::pki_types::CertificateDer;

use super::check::Demand;
use super::resolve::{Guard, ResolveError, Shared};
use super::{CheckedUrl, EgressRefusal, EgressSettings, Resolver, SystemResolver, check_url};
use crate::model::Failure;

/// The way out could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("egress: {what}")]
pub struct EgressError {
    /// What failed.
    pub what: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::delivery) struct SendError {
    pub(in crate::delivery) failure: Failure,
    /// For the operator's log; holds no URL.
    pub(in crate::delivery) detail: String,
}

#[expect(clippy::disallowed_types, reason = "this is where the client lives")]
type Client = reqwest::Client;

/// The guarded HTTP client. One for the process; connections are kept alive between attempts.
///
/// Inside is one reqwest client per port and demand, sharing TLS settings: a resolver is told the name only, and
/// must know the port that it resolves for to keep deliveries away from our own listeners.
#[derive(Debug)]
pub struct Egress {
    settings: Arc<EgressSettings>,
    resolver: Arc<dyn Resolver>,
    tls: rustls::ClientConfig,
    clients: Mutex<BTreeMap<(u16, Demand), Client>>,
}

impl Egress {
    /// Shorter than the 5 s after which widely used servers close: what is reused is rarely already closed.
    const IDLE: Duration = Duration::from_secs(4);
    /// Idle connections kept per host.
    const IDLE_PER_HOST: usize = 32;
    /// Clients kept; ports are few unless an allow-list opens them all.
    const MOST_CLIENTS: usize = 64;

    /// Over the machine's resolver, trusting the machine's certificate authorities (`SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name others) and `extra_roots`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        settings: EgressSettings,
        extra_roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, EgressError> {
        Self::with_resolver(settings, extra_roots, Arc::new(SystemResolver::default()))
    }

    /// Over another resolver.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_resolver(
        settings: EgressSettings,
        extra_roots: impl IntoIterator<Item = CertificateDer<'static>>,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, EgressError> {
        let tls = tls(extra_roots)?;
        Ok(Self { settings: Arc::new(settings), resolver, tls, clients: Mutex::default() })
    }

    /// What may be reached.
    #[must_use]
    pub fn settings(&self) -> &EgressSettings {
        &self.settings
    }

    /// Judges a URL; names are judged further when they are connected to.
    ///
    /// # Errors
    /// Why a delivery may not go there.
    pub fn check(&self, url: &str) -> Result<CheckedUrl, EgressRefusal> {
        check_url(url, &self.settings)
    }

    /// Posts a body. Dropping the future gives the request up.
    pub(in crate::delivery) async fn post(
        &self,
        to: &CheckedUrl,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, SendError> {
        let client = self.client(to.port, to.demand)?;
        let sent = client.post(to.url.clone()).headers(headers).body(body).send().await;
        sent.map_err(|error| SendError::of(&error))
    }

    fn client(&self, port: u16, demand: Demand) -> Result<Client, SendError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(port, demand)) {
            return Ok(client.clone());
        }
        if clients.len() >= Self::MOST_CLIENTS {
            clients.pop_first();
        }
        let client = self.build(port, demand).map_err(|error| SendError::of(&error))?;
        clients.insert((port, demand), client.clone());
        Ok(client)
    }

    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "this is where the client is made"
    )]
    fn build(&self, port: u16, demand: Demand) -> reqwest::Result<Client> {
        let (resolver, settings) = (Arc::clone(&self.resolver), Arc::clone(&self.settings));
        let guard = Shared(Arc::new(Guard { resolver, settings, port, demand }));
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(guard)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .http1_max_headers(100)
            .http2_max_header_list_size(64 * 1024)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Self::IDLE)
            .pool_max_idle_per_host(Self::IDLE_PER_HOST)
            .tcp_nodelay(true)
            .build()
    }
}

/// TLS 1.2 and 1.3 by ring, HTTP/2 where the endpoint speaks it.
fn tls(
    extra_roots: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<rustls::ClientConfig, EgressError> {
    let mut roots = rustls::RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a certificate authority of the system could not be read");
    }
    roots.add_parsable_certificates(system.certs);
    for root in extra_roots {
        roots
            .add(root)
            .map_err(|source| EgressError { what: "an extra root certificate", source: source.into() })?;
    }
    if roots.is_empty() {
        tracing::warn!("no certificate authorities found: deliveries over https will fail");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| EgressError { what: "TLS versions", source: source.into() })?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl SendError {
    pub(in crate::delivery) fn of(error: &reqwest::Error) -> Self {
        let failure = match find::<ResolveError>(error) {
            Some(ResolveError::Refused(_)) => Failure::Egress,
            Some(ResolveError::Failed(_) | ResolveError::Empty) => Failure::Dns,
            None if error.is_builder() => Failure::Unsendable,
            None if error.is_timeout() => Failure::Timeout,
            None if find::<rustls::Error>(error).is_some() => Failure::Tls,
            None if error.is_connect() => Failure::Connect,
            None => Failure::Protocol,
        };
        Self { failure, detail: detail(error) }
    }
}

/// The first cause of type `T`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref::<T>())
}

/// An error and all that is behind it. I/O errors hide what they wrap from `source()`; it is asked for as well.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inside.map(|inside| inside as &(dyn Error + 'static)).or_else(|| Error::source(*error))
    })
}

/// The innermost cause in words: the outer ones show the URL. A refusal is named precisely.
fn detail(error: &reqwest::Error) -> String {
    if let Some(ResolveError::Refused(refusal)) = find::<ResolveError>(error) {
        return format!("an answer for the name was refused: {}", refusal.label());
    }
    causes(error).skip(1).last().map_or_else(|| "no request could be made".to_owned(), ToString::to_string)
}
