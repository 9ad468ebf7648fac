//! Every client's token: one request for many attempts that wait, and none while a server rests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Mutex as Turn;
use tokio::time::timeout;

use super::request::fetch;
use super::state::{State, Step};
use crate::clock::Clock;
use crate::delivery::egress::{Egress, SendError};
use crate::model::{Failure, OAuth2};

/// Clients remembered; beyond it all are forgotten, and their tokens fetched again.
const REMEMBERED: usize = 1024;

/// The tokens, by all that they were asked for with: other settings are another client.
#[derive(Debug)]
pub(super) struct Tokens {
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
    clients: Mutex<HashMap<OAuth2, Arc<Turn<State>>>>,
}

impl Tokens {
    pub(super) fn new(egress: Arc<Egress>, clock: Arc<dyn Clock>) -> Self {
        Self { egress, clock, clients: Mutex::default() }
    }

    /// A token for the header. Whoever finds none fetches it with the state in his hands, so that everybody else waits
    /// for him; should he be dropped, the next one in turn does it. Nobody waits or fetches longer than `patience`.
    pub(super) async fn get(&self, client: &OAuth2, patience: Duration) -> Result<HeaderValue, SendError> {
        let known = self.client(client);
        let Ok(mut state) = timeout(patience, known.lock()).await else {
            return Err(failed("another attempt waits for it, for too long"));
        };
        match state.step(self.clock.now()) {
            Step::Use(value) => Ok(value),
            Step::Fail(why) => Err(failed(&why)),
            Step::Fetch => self.fetch(client, &mut state, patience).await,
        }
    }

    /// A token in place of one that an endpoint refused; `None` when it would be the same, or none is to be had.
    pub(super) async fn renewed(
        &self,
        client: &OAuth2,
        refused: &HeaderValue,
        patience: Duration,
    ) -> Option<HeaderValue> {
        let known = self.client(client);
        let worth = timeout(patience, known.lock()).await.ok()?.refused(refused, self.clock.now());
        if worth { self.get(client, patience).await.ok() } else { None }
    }

    async fn fetch(
        &self,
        client: &OAuth2,
        state: &mut State,
        patience: Duration,
    ) -> Result<HeaderValue, SendError> {
        let late = |_elapsed| Err("no answer in time".to_owned());
        match timeout(patience, fetch(&self.egress, client)).await.unwrap_or_else(late) {
            Ok(granted) => {
                let value = granted.value.clone();
                state.granted(granted, self.clock.now());
                Ok(value)
            }
            Err(why) => {
                let error = failed(&why);
                state.failed(why, self.clock.now());
                Err(error)
            }
        }
    }

    fn client(&self, client: &OAuth2) -> Arc<Turn<State>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clients.get(client) {
            return Arc::clone(known);
        }
        if clients.len() >= REMEMBERED {
            clients.clear();
        }
        Arc::clone(clients.entry(client.clone()).or_default())
    }
}

fn failed(why: &str) -> SendError {
    SendError { failure: Failure::Credentials, detail: format!("no token: {why}") }
}
