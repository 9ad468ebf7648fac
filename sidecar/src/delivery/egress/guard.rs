//! The judgement before every attempt: where a URL leads now, and whether a delivery may go there.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use url::Host;

use super::check::{Demand, check_address};
use super::names::Names;
use super::resolve::ResolveError;
use super::{CheckedUrl, EgressSettings, Resolver};

/// Where an attempt goes. Every address in it was checked for this attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Straight to one of these.
    Direct(Vec<SocketAddr>),
    /// Through the proxy, which is asked for one of these.
    Proxied(Vec<SocketAddr>),
    /// Through the proxy, which resolves the name and is the guard of what it means.
    Named,
}

impl Route {
    /// Whether a connection that has this address at its other end goes the same way.
    pub(super) fn leads_to(&self, reached: Option<IpAddr>) -> bool {
        match (self, reached) {
            (Self::Direct(all) | Self::Proxied(all), Some(ip)) => all.iter().any(|to| to.ip() == ip),
            (Self::Named, None) => true,
            (Self::Direct(_) | Self::Proxied(_), None) | (Self::Named, Some(_)) => false,
        }
    }
}

/// Judges every attempt.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) settings: Arc<EgressSettings>,
    pub(super) names: Names,
}

impl Guard {
    /// Addresses that are tried; more are checked but not connected to.
    const MOST_TRIED: usize = 16;

    pub(super) fn new(settings: Arc<EgressSettings>, resolver: Arc<dyn Resolver>) -> Self {
        let names = Names::new(resolver, settings.names_fresh);
        Self { settings, names }
    }

    /// The way to a URL. Every answer for its name is checked: a mixed answer is an attack or a mistake, and is
    /// refused as a whole.
    pub(super) async fn route(&self, to: &CheckedUrl) -> Result<Route, ResolveError> {
        let proxy = self.settings.proxy.as_ref();
        let found = match to.host_parts() {
            Host::Ipv4(ip) => Arc::from([IpAddr::from(ip)]),
            Host::Ipv6(ip) => Arc::from([IpAddr::from(ip)]),
            Host::Domain(_) if proxy.is_some_and(|proxy| proxy.resolves) => return named(to.demand),
            Host::Domain(name) => self.names.look_up(name).await?,
        };
        for address in found.iter() {
            check_address(*address, to.port, to.demand, &self.settings).map_err(ResolveError::Refused)?;
        }
        let sockets = found.iter().take(Self::MOST_TRIED).map(|ip| SocketAddr::new(*ip, to.port)).collect();
        let straight = proxy.is_none_or(|proxy| found.iter().all(|ip| proxy.bypass.contains(*ip)));
        Ok(if straight { Route::Direct(sockets) } else { Route::Proxied(sockets) })
    }
}

/// Where the proxy resolves, what only allowed addresses would open stays closed: we never see them.
fn named(demand: Demand) -> Result<Route, ResolveError> {
    match demand {
        Demand::Reachable => Ok(Route::Named),
        Demand::Allowed(otherwise) => Err(ResolveError::Refused(otherwise)),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use serde::Deserialize;

    use super::*;
    use crate::delivery::egress::{AllowList, EgressProxy, EgressRefusal, check_url};

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

    /// A guard that believes no answer twice.
    fn guard(settings: EgressSettings, lookups: Vec<Vec<IpAddr>>) -> Guard {
        let settings = EgressSettings { names_fresh: Duration::ZERO, ..settings };
        Guard::new(Arc::new(settings), Arc::new(Scripted(Mutex::new(lookups.into_iter()))))
    }

    fn checked(url: &str, guard: &Guard) -> CheckedUrl {
        check_url(url, &guard.settings).unwrap()
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_url_of_the_vectors_is_judged_as_it_should() {
        let settings = EgressSettings::default();
        for case in vectors().urls {
            let verdict = check_url(&case.url, &settings);
            let seen = verdict.as_ref().map_or_else(
                |refusal| ("deny", refusal.label()),
                |checked| match checked.host_parts() {
                    Host::Domain(_) => ("resolve", "by_dns"),
                    Host::Ipv4(_) | Host::Ipv6(_) => ("allow", "ok"),
                },
            );
            assert_eq!(seen, (&*case.expect, &*case.reason), "{:?}", case.url);
        }
    }

    #[tokio::test]
    async fn every_dns_answer_of_the_vectors_is_judged_as_it_should() {
        for case in vectors().dns {
            let guard = guard(EgressSettings::default(), case.lookups.clone());
            let to = checked(&format!("https://{}.example/", case.name), &guard);
            let first = guard.route(&to).await;
            if case.expect == "deny" {
                let (refused, no_answer) = (
                    matches!(first, Err(ResolveError::Refused(_))),
                    matches!(first, Err(ResolveError::Empty)),
                );
                let none = case.lookups[0].is_empty();
                assert_eq!((refused, no_answer), (!none, none), "{}: {first:?}", case.name);
            } else {
                let pinned = case.lookups[0].iter().map(|ip| SocketAddr::new(*ip, 443)).collect();
                assert_eq!(first.unwrap(), Route::Direct(pinned), "{}: exactly what was checked", case.name);
            }
            if case.expect == "deny-on-retry" {
                let again = guard.route(&to).await;
                assert!(matches!(again, Err(ResolveError::Refused(EgressRefusal::Address))), "{}", case.name);
            }
        }
    }

    #[tokio::test]
    async fn nothing_can_lead_to_our_own_listener() {
        let allow = "127.0.0.0/8".parse().unwrap();
        let guard = guard(EgressSettings { allow, ..EgressSettings::default() }, vec![ips(&["127.0.0.1"])]);
        let urls = ["https://rebind.example/", "https://127.0.0.1/"].map(|url| checked(url, &guard));
        guard.settings.own.add("127.0.0.1:443".parse().unwrap());
        for to in urls {
            let refused = guard.route(&to).await;
            assert!(matches!(refused, Err(ResolveError::Refused(EgressRefusal::OwnListener))), "{refused:?}");
        }
    }

    fn through_a_proxy(bypass: &str, resolves: bool) -> EgressSettings {
        let (url, bypass) = ("http://10.0.0.1:3128".parse().unwrap(), bypass.parse().unwrap());
        let allow: AllowList = "10.0.0.0/8".parse().unwrap();
        let proxy = Some(EgressProxy { url, bypass, resolves });
        EgressSettings { proxy, allow, ..EgressSettings::default() }
    }

    #[tokio::test]
    async fn a_proxy_gets_what_was_checked_or_what_it_is_to_check() {
        let public = || ips(&["1.1.1.1", "9.9.9.9"]);
        let sockets = || public().into_iter().map(|ip| SocketAddr::new(ip, 443)).collect::<Vec<_>>();
        let inner = |port| vec![SocketAddr::new([10, 1, 1, 1].into(), port)];
        let refused = |refusal| Err(EgressRefusal::label(refusal));
        let table = [
            ("a name", "https://a.example/", "", false, public(), Ok(Route::Proxied(sockets()))),
            (
                "all bypass it",
                "https://a.example/",
                "1.0.0.0/8,9.9.9.9",
                false,
                public(),
                Ok(Route::Direct(sockets())),
            ),
            (
                "one does not",
                "https://a.example/",
                "1.0.0.0/8",
                false,
                public(),
                Ok(Route::Proxied(sockets())),
            ),
            (
                "refused as ever",
                "https://a.example/",
                "",
                false,
                ips(&["127.0.0.1"]),
                refused(EgressRefusal::Address),
            ),
            ("a literal", "http://10.1.1.1/", "", true, vec![], Ok(Route::Proxied(inner(80)))),
            ("the proxy resolves", "https://a.example/", "1.0.0.0/8", true, vec![], Ok(Route::Named)),
            ("but nothing private", "https://a.internal/", "", true, vec![], refused(EgressRefusal::Name)),
            ("and no other port", "https://a.example:25/", "", true, vec![], refused(EgressRefusal::Port)),
        ];
        for (promise, url, bypass, resolves, answer, expected) in table {
            let guard = guard(through_a_proxy(bypass, resolves), vec![answer]);
            let route = guard.route(&checked(url, &guard)).await;
            let seen = route.map_err(|error| match error {
                ResolveError::Refused(refusal) => refusal.label(),
                ResolveError::Failed(_) | ResolveError::Empty => "no answer",
            });
            assert_eq!(seen, expected, "{promise}");
        }
    }

    #[test]
    fn a_kept_connection_goes_on_only_where_the_route_leads_now() {
        let at = |ip: &str| Some(ip.parse().unwrap());
        let route = Route::Direct(vec!["1.1.1.1:443".parse().unwrap(), "9.9.9.9:443".parse().unwrap()]);
        for (reached, expected) in
            [(at("1.1.1.1"), true), (at("9.9.9.9"), true), (at("8.8.8.8"), false), (None, false)]
        {
            assert_eq!(route.leads_to(reached), expected, "{reached:?}");
        }
        assert!(Route::Named.leads_to(None) && !Route::Named.leads_to(at("1.1.1.1")));
    }
}
