//! Senders with an exact ledger: what was sent, what was answered 202, what got no answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{Client, NoAnswer};
use crate::sidecar;

/// What became of the events of a load. Each event has a key of its own, which it carries as its idempotency id.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Requests that were sent, or begun.
    pub sent: u64,
    /// The event id of every key that was answered 202.
    pub accepted: BTreeMap<String, String>,
    /// Keys whose request got no answer: accepted or not, the sender cannot know.
    pub unanswered: Vec<String>,
    /// Keys that were answered something else, with the status.
    pub refused: Vec<(String, u16)>,
}

/// Senders at work, each on one connection, one request after the other. They end when their connection does, when
/// they are told to, or when this is dropped.
#[derive(Debug)]
pub struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
}

impl Load {
    /// Starts `senders` of them against the data listener `address`; their keys begin with `name`.
    #[must_use]
    pub fn start(address: SocketAddr, name: &str, senders: u32) -> Self {
        let (ledger, stop) = (Arc::new(Mutex::new(Ledger::default())), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for sender in 0..senders {
            tasks.spawn(send_on(address, format!("{name}-{sender}"), Arc::clone(&ledger), Arc::clone(&stop)));
        }
        Self { ledger, stop, senders: tasks }
    }

    /// How many were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        lock(&self.ledger).accepted.len()
    }

    /// Tells every sender to end after the answer it waits for.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Waits until every sender has been told to stop, or has lost its connection, and answers what they did.
    pub async fn end(mut self) -> Ledger {
        while let Some(ended) = self.senders.join_next().await {
            ended.expect("a sender that ends by itself");
        }
        std::mem::take(&mut *lock(&self.ledger))
    }
}

/// Sends one event and enters what came of it.
///
/// # Errors
/// When no answer came.
pub async fn send(client: &mut Client, key: &str, ledger: &Mutex<Ledger>) -> Result<(), NoAnswer> {
    let request = sidecar::event(&json!({ "type": "load.sent", "id": key, "data": { "key": key } }));
    lock(ledger).sent += 1;
    let answer = client.send(&request).await;
    let mut ledger = lock(ledger);
    match answer {
        Ok(answer) if answer.status == 202 => {
            let id = answer.json().get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
            ledger.accepted.insert(key.to_owned(), id);
        }
        Ok(answer) => ledger.refused.push((key.to_owned(), answer.status)),
        Err(none) => {
            ledger.unanswered.push(key.to_owned());
            return Err(none);
        }
    }
    Ok(())
}

async fn send_on(address: SocketAddr, name: String, ledger: Arc<Mutex<Ledger>>, stop: Arc<AtomicBool>) {
    let Ok(mut client) = Client::try_connect(address).await else {
        return;
    };
    for number in 0_u64.. {
        let answered = send(&mut client, &format!("{name}-{number}"), &ledger).await.is_ok();
        if !answered || stop.load(Ordering::Acquire) {
            return;
        }
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
