//! Group commit: accepts of a shard that arrive while one is under way go together with the next, in one script. What a
//! script costs before it has done anything is then paid once for all of them.
//!
//! Whoever finds nothing under way goes alone and at once. A group that fails goes on one by one, so that nobody is refused
//! for what others brought.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::draft::Seen;
use super::fault::failed;
use super::keys::Shard;
use super::link::{ACCEPT, late};
use super::{Millis, Shared, StoreError};
use crate::store::{Acceptance, Offer};

const OPERATION: &str = "accept";
/// Events and deliveries that go together: a script blocks everybody.
const MOST: usize = 256;
/// Bytes of payload that go together.
const MOST_BYTES: usize = 1024 * 1024;

type Answer = Result<Vec<Acceptance>, StoreError>;

/// The accepts under way and waiting, by shard.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<BTreeMap<Shard, Lane>>);

/// The accepts of one shard.
#[derive(Debug, Default)]
struct Lane {
    /// Whether one is under way.
    busy: bool,
    waiting: VecDeque<Party>,
}

/// One caller, and what it brings.
#[derive(Debug)]
struct Party {
    offers: Vec<Offer>,
    now: Millis,
    /// At most so many events and deliveries.
    weight: usize,
    answer: oneshot::Sender<Answer>,
}

enum Entrance {
    /// Nobody is under way.
    Free(Turn),
    Waits(oneshot::Receiver<Answer>),
}

/// The right to be under way in a shard. When it is dropped, those that wait go.
struct Turn {
    shared: Arc<Shared>,
    shard: Shard,
    /// Where they go.
    runtime: Handle,
}

impl Shared {
    /// Accepts in one shard, with whoever else does.
    pub(super) async fn accept_together(
        self: &Arc<Self>,
        shard: Shard,
        offers: &[&Seen<'_>],
        now: Millis,
    ) -> Answer {
        match self.enter(shard, offers, now) {
            Entrance::Free(turn) => {
                let answer = self.accept_shard(shard, offers, now).await;
                drop(turn);
                answer
            }
            Entrance::Waits(answer) => match timeout(ACCEPT, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(failed(OPERATION)(late())),
            },
        }
    }

    fn enter(self: &Arc<Self>, shard: Shard, offers: &[&Seen<'_>], now: Millis) -> Entrance {
        let mut lanes = self.groups.lanes();
        let lane = lanes.entry(shard).or_default();
        if !lane.busy {
            lane.busy = true;
            let (shared, runtime) = (Arc::clone(self), Handle::current());
            return Entrance::Free(Turn { shared, shard, runtime });
        }
        let (answer, waits) = oneshot::channel();
        let weight = offers.iter().map(|offer| 1 + self.endpoints_of(&offer.offer.event.tenant)).sum();
        let offers = offers.iter().map(|offer| offer.offer.clone()).collect();
        lane.waiting.push_back(Party { offers, now, weight, answer });
        Entrance::Waits(waits)
    }

    async fn accept_group(&self, shard: Shard, group: Vec<Party>) {
        let now = group.iter().map(|party| party.now).max().unwrap_or_default();
        let offers: Vec<Seen<'_>> = group.iter().flat_map(|party| &party.offers).map(Seen::of).collect();
        let offers: Vec<&Seen<'_>> = offers.iter().collect();
        if let Ok(answers) = self.accept_shard(shard, &offers, now).await {
            return share(group, answers);
        }
        // what was wrong may be with one of them: each gets its own answer, while it waits for it
        for party in group.into_iter().filter(|party| !party.answer.is_closed()) {
            let offers: Vec<Seen<'_>> = party.offers.iter().map(Seen::of).collect();
            let answer = self.accept_shard(shard, &offers.iter().collect::<Vec<_>>(), party.now).await;
            party.hear(answer);
        }
    }
}

/// Everybody gets the answers to what it brought: as many as it had offers.
fn share(group: Vec<Party>, answers: Vec<Acceptance>) {
    let mut answers = answers.into_iter();
    for party in group {
        let own = answers.by_ref().take(party.offers.len()).collect();
        party.hear(Ok(own));
    }
}

impl Groups {
    fn lanes(&self) -> MutexGuard<'_, BTreeMap<Shard, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that go together next, if any wait; otherwise nobody is under way any more.
    fn next(&self, shard: Shard) -> Vec<Party> {
        self.lanes().entry(shard).or_default().next()
    }
}

impl Lane {
    /// Those whose caller is gone are left out.
    fn next(&mut self) -> Vec<Party> {
        let (mut group, mut weight, mut bytes) = (Vec::new(), 0_usize, 0_usize);
        while let Some(party) = self.waiting.pop_front() {
            if party.answer.is_closed() {
                continue;
            }
            weight = weight.saturating_add(party.weight);
            bytes = bytes.saturating_add(party.bytes());
            if !group.is_empty() && (weight > MOST || bytes > MOST_BYTES) {
                self.waiting.push_front(party);
                break;
            }
            group.push(party);
        }
        self.busy = !group.is_empty();
        group
    }
}

impl Party {
    fn bytes(&self) -> usize {
        self.offers.iter().map(|offer| offer.event.payload.len()).sum()
    }

    /// Whoever does not wait any more has given up, and sends the same event again.
    fn hear(self, answer: Answer) {
        drop(self.answer.send(answer));
    }
}

impl Drop for Turn {
    /// The callers of a group may go away, so it goes in a task of its own.
    fn drop(&mut self) {
        let group = self.shared.groups.next(self.shard);
        if group.is_empty() {
            return;
        }
        let (shared, runtime) = (Arc::clone(&self.shared), self.runtime.clone());
        let turn = Self { shared, shard: self.shard, runtime };
        let goes = async move {
            turn.shared.accept_group(turn.shard, group).await;
            drop(turn);
        };
        TaskTracker::new().spawn_on(goes, &self.runtime);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::{Event, EventId};

    fn event(payload: usize) -> Event {
        Event {
            id: EventId::fresh(Millis(0), 0, &"t".parse().unwrap()),
            tenant: "t".parse().unwrap(),
            event_type: "order.created".parse().unwrap(),
            payload: Bytes::from(vec![0; payload]),
            forgotten_bytes: None,
            content_type: "application/json".to_owned(),
            source: None,
            request_id: String::new(),
            traceparent: None,
            accepted_at: Millis(0),
            deliver_at: None,
            ordering_key: None,
            expires_at: None,
        }
    }

    fn party(weight: usize, bytes: usize) -> (Party, oneshot::Receiver<Answer>) {
        let (answer, waits) = oneshot::channel();
        let offers = vec![Offer { event: Arc::new(event(bytes)), keys: Vec::new() }];
        (Party { offers, now: Millis(0), weight, answer }, waits)
    }

    #[test]
    fn as_many_go_together_as_a_script_may_hold_and_always_one() {
        let (none, big) = (0, MOST_BYTES);
        let table = [
            (vec![], vec![]),
            (vec![(1, none); 3], vec![3]),
            (vec![(MOST, none), (1, none)], vec![1, 1]),
            (vec![(2 * MOST, none), (2 * MOST, none)], vec![1, 1]),
            (vec![(1, 1), (1, big), (1, 1)], vec![1, 1, 1]),
            (vec![(MOST / 2, none), (MOST / 2, none), (1, none)], vec![2, 1]),
        ];
        for (waiting, expected) in table {
            let (parties, _waits): (VecDeque<_>, Vec<_>) =
                waiting.iter().map(|(weight, bytes)| party(*weight, *bytes)).unzip();
            let mut lane = Lane { busy: true, waiting: parties };
            let groups = std::iter::from_fn(|| Some(lane.next().len()).filter(|size| *size > 0));
            assert_eq!(groups.collect::<Vec<_>>(), expected, "{waiting:?}");
            assert!(!lane.busy);
        }
    }

    #[test]
    fn who_gave_up_waiting_is_left_out() {
        let ((first, _waits), (second, gone)) = (party(1, 0), party(1, 0));
        drop(gone);
        let mut lane = Lane { busy: true, waiting: [second, first].into() };
        assert_eq!(lane.next().len(), 1);
        assert!(lane.busy);
    }
}
