//! The guard in front of real sockets: what it refuses is never connected to.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookgate_sidecar::delivery::attempt::{HttpTransport, Transport};
use hookgate_sidecar::delivery::egress::{Egress, EgressSettings, Resolver};
use hookgate_sidecar::model::{Failure, Outcome};
use tokio::net::TcpListener;

use crate::support::{Receiver, TokioClock, http, lease_to};

/// Answers from a list per name, one answer a look-up.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>);

impl Names {
    pub(crate) fn of<const N: usize>(names: [(&str, &[&[&str]]); N]) -> Arc<Self> {
        let parsed = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        let names = names.map(|(name, answers)| (name.to_owned(), answers.iter().map(parsed).collect()));
        Arc::new(Self(Mutex::new(BTreeMap::from(names))))
    }

    /// Answers that nobody has asked for.
    pub(crate) fn unasked(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut names = self.0.lock().unwrap();
        let answers = names.get_mut(host).filter(|answers| !answers.is_empty());
        answers.map(|answers| answers.remove(0)).ok_or_else(|| io::Error::other("no such name"))
    }
}

/// Reaches this too, and believes no answer twice.
pub(crate) fn reaching(allow: &str) -> EgressSettings {
    let allow = allow.parse().unwrap();
    EgressSettings { allow, names_fresh: Duration::ZERO, ..EgressSettings::default() }
}

pub(crate) fn allowing(allow: &str, names: Arc<Names>) -> HttpTransport {
    over(reaching(allow), names)
}

pub(crate) fn over(settings: EgressSettings, names: Arc<Names>) -> HttpTransport {
    let egress = Egress::with_resolver(settings, [], names).unwrap();
    HttpTransport::new(Arc::new(egress), TokioClock::start()).unwrap()
}

#[tokio::test]
async fn refused_addresses_are_never_connected_to() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let port = receiver.address.port();
    let names =
        Names::of([("inner.example", &[&["127.0.0.1"]]), ("mixed.example", &[&["10.0.0.1", "127.0.0.1"]])]);
    let mut settings = EgressSettings { allow: "10.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    settings.ports.push(port);
    let transport = over(settings, names);
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "inner.example",
        "mixed.example",
    ] {
        let sent = transport.send(&lease_to(&format!("http://{host}:{port}/"))).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Egress), "{host}: {sent:?}");
        assert_eq!(sent.response, "", "the tenant learns nothing more");
    }
    assert_eq!(receiver.connections(), 0);
}

/// The refused URLs of the published cases; those refused for where they lead also with the port of a listener.
fn refused_urls(port: u16) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/ssrf.json");
    let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut urls = Vec::new();
    for case in vectors["urls"].as_array().unwrap().iter().filter(|case| case["expect"] == "deny") {
        let (text, reason) = (case["url"].as_str().unwrap(), case["reason"].as_str().unwrap());
        urls.push(text.to_owned());
        if matches!(reason, "address" | "name") {
            let mut url = url::Url::parse(text).unwrap();
            url.set_port(Some(port)).unwrap();
            urls.push(url.into());
        }
    }
    assert!(urls.len() > 200, "{}", urls.len());
    urls
}

#[tokio::test]
async fn no_refused_url_of_the_vectors_causes_a_connection() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut settings = EgressSettings::default();
    settings.ports.push(port);
    let transport = over(settings, Names::of([]));
    for url in refused_urls(port) {
        let sent = transport.send(&lease_to(&url)).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Egress), "{url}: {sent:?}");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(nobody.is_err(), "no address of this machine was connected to: {nobody:?}");
}

#[tokio::test]
async fn a_connection_goes_to_what_was_checked_whatever_the_name_says_next() {
    let receiver = Receiver::start(http("200 OK", "connection: close\r\n", "")).await;
    let names = Names::of([("rebind.example", &[&["127.0.0.1"], &["169.254.169.254"]])]);
    let transport = allowing("127.0.0.0/8", names);
    let lease = lease_to(&format!("http://rebind.example:{}/", receiver.address.port()));
    let first = transport.send(&lease).await;
    assert_eq!(first.reply.outcome, Outcome::Answered(200), "{first:?}: one look-up for one connection");
    assert_eq!(receiver.requests()[0].header("host"), format!("rebind.example:{}", receiver.address.port()));
    let second = transport.send(&lease).await;
    assert_eq!(
        second.reply.outcome,
        Outcome::Failed(Failure::Egress),
        "{second:?}: the next is checked anew"
    );
    let third = transport.send(&lease).await;
    assert_eq!(third.reply.outcome, Outcome::Failed(Failure::Dns), "{third:?}: no answer is no refusal");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn our_own_listeners_are_out_of_reach_however_they_are_named() {
    let own = Receiver::start(http("200 OK", "", "")).await;
    let port = own.address.port();
    let settings = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    settings.own.add(own.address);
    let transport = over(settings, Names::of([("us.example", &[&["127.0.0.1"]])]));
    for host in ["127.0.0.1", "127.1", "[::ffff:127.0.0.1]", "us.example"] {
        let sent = transport.send(&lease_to(&format!("http://{host}:{port}/"))).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Egress), "{host}: {sent:?}");
    }
    assert_eq!(own.connections(), 0);
}
