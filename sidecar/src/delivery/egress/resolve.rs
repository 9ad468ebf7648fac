//! Name resolution under guard: a connection is made to the very addresses that were checked, or not at all.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::check::{Demand, check_address};
use super::{EgressRefusal, EgressSettings};

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

/// Why a name gave no address to connect to. `Display` is safe for everybody.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the name did not resolve")]
    Failed(#[source] io::Error),
    #[error("the name did not resolve to any address")]
    Empty,
    #[error("{0}")]
    Refused(EgressRefusal),
}

/// Resolves for connections to one port under one demand: one look-up a connection, every answer checked, the
/// checked answers handed over. A mixed answer is an attack or a mistake: it is refused as a whole.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) settings: Arc<EgressSettings>,
    pub(super) port: u16,
    pub(super) demand: Demand,
}

impl Guard {
    /// Answers that are tried; more are checked but not connected to.
    const MOST_TRIED: usize = 16;

    async fn checked(&self, host: &str) -> Result<Vec<SocketAddr>, ResolveError> {
        let found = self.resolver.resolve(host).await.map_err(ResolveError::Failed)?;
        if found.is_empty() {
            return Err(ResolveError::Empty);
        }
        for address in &found {
            check_address(*address, self.port, self.demand, &self.settings).map_err(ResolveError::Refused)?;
        }
        Ok(found.into_iter().take(Self::MOST_TRIED).map(|ip| SocketAddr::new(ip, self.port)).collect())
    }
}

impl Resolve for Shared {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = guard.checked(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A [`Guard`] as reqwest takes it.
#[derive(Debug)]
pub(super) struct Shared(pub(super) Arc<Guard>);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde::Deserialize;

    use super::*;
    use crate::delivery::egress::check_url;

    #[derive(Debug, Deserialize)]
    struct Vectors {
        urls: Vec<UrlCase>,
        dns: Vec<DnsCase>,
    }

    #[derive(Debug, Deserialize)]
    struct UrlCase {
        url: String,
        expect: String,
        reason: String,
    }

    #[derive(Debug, Deserialize)]
    struct DnsCase {
        name: String,
        lookups: Vec<Vec<IpAddr>>,
        expect: String,
    }

    fn vectors() -> Vectors {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/ssrf.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// Answers each look-up with the next of a list, and panics when asked once too often.
    #[derive(Debug)]
    struct Scripted(Mutex<std::vec::IntoIter<Vec<IpAddr>>>);

    #[async_trait]
    impl Resolver for Scripted {
        async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            Ok(self.0.lock().unwrap().next().expect("no look-up more than the script has"))
        }
    }

    fn guard(lookups: Vec<Vec<IpAddr>>) -> Guard {
        let resolver = Arc::new(Scripted(Mutex::new(lookups.into_iter())));
        let settings = Arc::new(EgressSettings::default());
        Guard { resolver, settings, port: 443, demand: Demand::Reachable }
    }

    #[test]
    fn every_url_of_the_vectors_is_judged_as_it_should() {
        let settings = EgressSettings::default();
        for case in vectors().urls {
            let verdict = check_url(&case.url, &settings);
            let seen = verdict.as_ref().map_or_else(
                |refusal| ("deny", refusal.label()),
                |checked| match checked.url.host() {
                    Some(url::Host::Domain(_)) => ("resolve", "by_dns"),
                    _ => ("allow", "ok"),
                },
            );
            assert_eq!(seen, (&*case.expect, &*case.reason), "{:?}", case.url);
        }
    }

    #[tokio::test]
    async fn every_dns_answer_of_the_vectors_is_judged_as_it_should() {
        for case in vectors().dns {
            let guard = guard(case.lookups.clone());
            let first = guard.checked(&case.name).await;
            let refused = matches!(first, Err(ResolveError::Refused(_)));
            let no_answer = matches!(first, Err(ResolveError::Empty));
            if case.expect == "deny" {
                assert_eq!(
                    (refused, no_answer),
                    (!case.lookups[0].is_empty(), case.lookups[0].is_empty()),
                    "{}",
                    case.name
                );
            } else {
                let pinned: Vec<_> = first.unwrap().iter().map(SocketAddr::ip).collect();
                assert_eq!(pinned, case.lookups[0], "{}: exactly what was checked", case.name);
            }
            if case.expect == "deny-on-retry" {
                let again = guard.checked(&case.name).await;
                assert!(matches!(again, Err(ResolveError::Refused(EgressRefusal::Address))), "{}", case.name);
            }
        }
    }

    #[tokio::test]
    async fn a_name_cannot_lead_to_our_own_listener() {
        let mut guard = guard(vec![vec!["127.0.0.1".parse().unwrap()]]);
        let settings = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
        settings.own.add("127.0.0.1:443".parse().unwrap());
        guard.settings = Arc::new(settings);
        let refused = guard.checked("rebind.example").await;
        assert!(matches!(refused, Err(ResolveError::Refused(EgressRefusal::OwnListener))), "{refused:?}");
    }
}
