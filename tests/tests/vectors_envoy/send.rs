//! Sending cases through Envoy, and what came of them on both of its sides.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use hookgate_e2e::envoy::Setup;
use hookgate_e2e::h2_client::H2Client;
use hookgate_e2e::{Client, Framing, Request, Upstream};

use crate::case::{Case, setup};

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// HTTP/1.1 with a length.
    Http1,
    /// HTTP/2 without one, ended by trailers.
    Http2Trailers,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::Http1, Self::Http2Trailers];
}

/// What came of one message.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The client's answer; `None` when its stream was reset.
    pub(crate) status: Option<u16>,
    /// The bodies of the complete messages that upstream got of it.
    pub(crate) arrived: Vec<Vec<u8>>,
}

/// Sends every case in every way through one Envoy whose clock stands still.
pub(crate) async fn all(mode: &str, clock: u64, cases: &[&Case]) -> BTreeMap<(usize, Way), Outcome> {
    let upstream = Upstream::start().await;
    let envoy = setup(Setup::shipped(mode, upstream.address()), mode, cases).frozen_at(clock).start().await;
    let mut statuses = BTreeMap::new();
    for case in cases {
        for way in Way::ALL {
            statuses.insert((case.number, way), send(envoy.address(), case, way).await);
        }
    }
    let reloads = envoy.stats("vm_reload").await;
    assert!(
        !reloads.is_empty() && reloads.values().all(|count| *count == 0),
        "the filter trapped: {reloads:?}"
    );
    let mut arrived = arrived(&upstream);
    let outcome = |(key, status): ((usize, Way), _)| {
        let start = format!("POST {} HTTP/1.1", target(key.0, key.1));
        (key, Outcome { status, arrived: arrived.remove(&start).unwrap_or_default() })
    };
    statuses.into_iter().map(outcome).collect()
}

/// The bodies of the complete messages that upstream got, by their request line.
fn arrived(upstream: &Upstream) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut arrived: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for seen in upstream.seen().into_iter().filter(|seen| seen.message.complete) {
        arrived.entry(seen.message.start).or_default().push(seen.message.body);
    }
    arrived
}

fn target(number: usize, way: Way) -> String {
    format!("/in/v{number}?{way:?}")
}

async fn send(envoy: SocketAddr, case: &Case, way: Way) -> Option<u16> {
    let headers = case.vector.headers.iter().map(|(name, value)| (name, value));
    let request = Request::post(&target(case.number, way)).headers(headers).body(&case.body);
    match way {
        Way::Http1 => Some(Client::call(envoy, &request).await.status),
        Way::Http2Trailers => {
            let request = request.framing(Framing::Trailers(vec![("x-after", "1")]));
            H2Client::connect(envoy).await.call(&request).await.ok().map(|answer| answer.status)
        }
    }
}

/// Whether Envoy refuses to start with this case's secrets, and says where the trouble is.
pub(crate) fn refused_start(case: &Case) -> Result<(), String> {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let mode = "envoy/envoy.yaml";
    let checked = setup(Setup::shipped(mode, nowhere), mode, &[case]).validate();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    if !checked.status.success() && said.contains("sources[0].secrets[") { Ok(()) } else { Err(said) }
}
