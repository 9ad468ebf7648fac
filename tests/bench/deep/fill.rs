//! Brings the events that wait: in batches, through the API.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use hookgate_e2e::sidecar::API_KEY;
use tokio::task::JoinSet;

use super::places::{self, BATCH};
use crate::ledger::{Answer, Ledger};
use crate::load::{Connection, nanos};
use crate::payload::{self, Stamp};
use crate::scene::BODY_BYTES;

/// Connections that bring events: few, so that Redis answers each in time also when it has much else to do.
const CONNECTIONS: usize = 4;

/// Sends events until at least `until` were sent, stamped by `start`.
///
/// # Panics
/// When they are not accepted.
pub(super) async fn send_until(until: u64, address: SocketAddr, start: Instant, ledger: &Arc<Ledger>) {
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        tasks.spawn(send(until, address, start, Arc::clone(ledger)));
    }
    tasks.join_all().await;
}

async fn send(until: u64, address: SocketAddr, start: Instant, ledger: Arc<Ledger>) {
    let head = format!(
        "POST /v1/events/batch HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {API_KEY}\r\n\
         content-type: application/json\r\ncontent-length: "
    );
    let mut line = Connection::open(address).await.expect("a sidecar that listens");
    let mut body = Vec::new();
    while ledger.sent() < until {
        let numbers = ledger.send_many(BATCH).expect("an account that holds them all");
        write_batch(&mut body, numbers.clone(), nanos(start.elapsed()));
        let status = line.post(&head, &body).await.expect("an answer");
        assert_eq!(status, 202, "to the events {numbers:?}");
        numbers.for_each(|number| ledger.answered(number, Answer::Accepted));
    }
}

/// The body of `POST /v1/events/batch`: each event for its own endpoint.
fn write_batch(body: &mut Vec<u8>, numbers: Range<u64>, sent_ns: u64) {
    let mut event = Vec::with_capacity(BODY_BYTES);
    body.clear();
    body.extend_from_slice(br#"{"events":["#);
    for number in numbers.clone() {
        let endpoint = places::endpoint_of(number);
        let (event_type, tenant) = (places::event_type(endpoint), places::tenant(endpoint));
        let head = format!(r#"{{"type":"{event_type}","tenant":"{tenant}""#);
        payload::write(&mut event, &head, Stamp { number, sent_ns }, BODY_BYTES);
        body.extend_from_slice(&event);
        body.extend_from_slice(if number + 1 == numbers.end { b"]}" } else { b"," });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_json_of_events_for_their_own_endpoints() {
        let mut body = b"what was before".to_vec();
        write_batch(&mut body, 198..201, 7);
        let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let seen: Vec<_> = json["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| [&event["type"], &event["tenant"]])
            .collect();
        assert_eq!(seen, [["to.18", "tenant-1"], ["to.19", "tenant-1"], ["to.20", "tenant-2"]]);
        for (event, number) in json["events"].as_array().unwrap().iter().zip(198..) {
            assert_eq!(payload::read(event.to_string().as_bytes()), Some(Stamp { number, sent_ns: 7 }));
        }
    }
}
