//! The way out itself: judge, take or make a connection, send.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use super::connection::{Broken, Connection, Message};
use super::guard::{Guard, Route};
use super::identity::{Fingerprint, Identities};
use super::pool::{Origin, Pool};
use super::reach::{Door, reach};
use super::response::{Back, Response};
use super::{CheckedUrl, EgressRefusal, EgressSettings, Resolver, SendError, SystemResolver, check_url, tls};
use crate::model::{ClientCertificate, Failure};

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

/// The guarded HTTP client. One for the process; connections are kept alive between attempts.
#[derive(Debug)]
pub struct Egress {
    settings: Arc<EgressSettings>,
    guard: Guard,
    pool: Arc<Pool>,
    tls: Arc<ClientConfig>,
    identities: Identities,
    /// Towards an `https` proxy.
    proxy_tls: Arc<ClientConfig>,
}

impl Egress {
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
        let tls = tls::config(extra_roots)?;
        let proxy_tls = Arc::new(tls::without_h2(&tls));
        let settings = Arc::new(settings);
        let guard = Guard::new(Arc::clone(&settings), resolver);
        let pool = Pool::new(settings.kept);
        Ok(Self { settings, guard, pool, tls: Arc::new(tls), identities: Identities::default(), proxy_tls })
    }

    /// What may be reached.
    #[must_use]
    pub fn settings(&self) -> &EgressSettings {
        &self.settings
    }

    /// Judges a URL; names are judged further at every attempt.
    ///
    /// # Errors
    /// Why a delivery may not go there.
    pub fn check(&self, url: &str) -> Result<CheckedUrl, EgressRefusal> {
        check_url(url, &self.settings)
    }

    /// Posts a body: the address is judged first, also when a connection is there already. It goes over a connection
    /// that proves to be `identity`'s, should the other side ask, and carries nobody else's. Dropping the future gives
    /// the request up. There is no time limit: that is the caller's.
    pub(in crate::delivery) async fn post(
        &self,
        identity: Option<&ClientCertificate>,
        to: &CheckedUrl,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, SendError> {
        let route = self.guard.route(to).await?;
        let origin = to.origin(identity.map(Fingerprint::of));
        let message = Message::post(to, headers, body)?;
        while let Some(mut connection) = self.pool.take(&origin, &route) {
            match connection.send(&message).await {
                Err(Broken::Unused(_)) => {}
                sent => return self.answered(sent, origin, connection),
            }
        }
        let tls = self.identities.tls(&self.tls, identity)?;
        let mut connection = self.connect(to, &origin, &route, &tls).await?;
        let sent = connection.send(&message).await;
        self.answered(sent, origin, connection)
    }

    fn answered(
        &self,
        sent: Result<http::Response<hyper::body::Incoming>, Broken>,
        origin: Origin,
        connection: Connection,
    ) -> Result<Response, SendError> {
        let pool = Arc::clone(&self.pool);
        match sent {
            Ok(response) => Ok(Response::new(response, Back { pool, origin, connection })),
            Err(Broken::Unused(error) | Broken::Used(error)) => Err(SendError::of_exchange(&error)),
        }
    }

    /// A new connection, or one that somebody else has just made and shares.
    async fn connect(
        &self,
        to: &CheckedUrl,
        origin: &Origin,
        route: &Route,
        tls: &Arc<ClientConfig>,
    ) -> Result<Connection, SendError> {
        let turn = self.pool.turn(origin);
        let _held = match &turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        if let Some(shared) = turn.as_ref().and_then(|_| self.pool.take(origin, route)) {
            return Ok(shared);
        }
        let connection = self.open(to, route, tls).await?;
        if let Some(another) = connection.share() {
            self.pool.keep(origin, another);
        } else {
            self.pool.each_for_itself(origin);
        }
        Ok(connection)
    }

    async fn open(
        &self,
        to: &CheckedUrl,
        route: &Route,
        tls: &Arc<ClientConfig>,
    ) -> Result<Connection, SendError> {
        let proxy = self.settings.proxy.as_ref();
        let door = proxy.map(|proxy| Door { proxy, names: &self.guard.names, tls: &self.proxy_tls });
        let (pipe, reached) = reach(to, route, door.as_ref()).await?;
        let (pipe, h2) = if to.is_https() {
            let wrapped = tls::wrap(tls, to.host_parts(), pipe).await;
            wrapped.map_err(|error| SendError::of(Failure::Tls, &error))?
        } else {
            (pipe, false)
        };
        Connection::open(pipe, h2, reached, &self.pool.tasks).await
    }
}
