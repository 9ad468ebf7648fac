//! Where the addresses behind a name come from.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{EgressRefusal, SendError};
use crate::model::Failure;

/// Where the addresses behind a name come from.
#[async_trait]
pub trait Resolver: Debug + Send + Sync {
    /// Every address of a host name. An empty answer counts as a failure.
    ///
    /// # Errors
    /// What the resolver said: no such name, no answer, …. All of it may pass later.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's resolver (`getaddrinfo`), at most 64 look-ups at once. A look-up given up on holds its place until
/// it really ends: slow name servers cannot eat all the blocking threads.
#[derive(Debug)]
pub struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(64)))
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let look_up = move || {
            let _held_to_the_end = permit;
            (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?
    }
}

/// Why a URL gave no address to connect to. `Display` is safe for everybody.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the name did not resolve")]
    Failed(#[source] io::Error),
    #[error("the name did not resolve to any address")]
    Empty,
    #[error("{0}")]
    Refused(EgressRefusal),
}

impl From<ResolveError> for SendError {
    /// A refusal is named precisely: this is for the operator.
    fn from(error: ResolveError) -> Self {
        match &error {
            ResolveError::Refused(refusal) => Self {
                failure: Failure::Egress,
                detail: format!("an address behind the URL was refused: {}", refusal.label()),
            },
            ResolveError::Failed(_) | ResolveError::Empty => Self::of(Failure::Dns, &error),
        }
    }
}
