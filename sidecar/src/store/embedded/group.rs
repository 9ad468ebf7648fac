//! Group commit: the accepts and settles that arrived together, as one transaction. Each is done wholly or not at all,
//! one that fails leaves the others alone, and nobody hears of it before it is durable.
//!
//! A group of nothing but results is not synced: should the power go, they are lost and the attempts are made again,
//! as they would be had they come a moment later. The next accept's sync takes them along.

use std::collections::HashSet;

use super::accept::{Desk, accept, weight};
use super::changes::{Changes, Sums};
use super::fault::Trouble;
use super::owner::{Owner, Reply};
use super::settle::settle;
use super::transaction::{begin, run, whole};
use super::trim::{Horizon, trim};
use crate::clock::Millis;
use crate::model::DeliveryId;
use crate::store::{Acceptance, News, Offer, Settled, Settlement, Settling};

/// A write of the hot path.
pub(super) enum Write {
    Accept { offers: Vec<Offer>, now: Millis, reply: Reply<Vec<Acceptance>> },
    Settle { settlements: Vec<Settlement>, now: Millis, reply: Reply<Settling> },
}

/// A write that is done but not durable yet.
struct Done {
    changes: Changes,
    now: Millis,
    answer: Box<dyn FnOnce(Result<Vec<News>, Trouble>)>,
}

/// One transaction, and what is to follow its commit.
pub(super) struct Group {
    outcome: Result<(), Trouble>,
    done: Vec<Done>,
    /// Leases settled in it: the schedule does not know yet.
    ended: HashSet<DeliveryId>,
    /// Deliveries accepted in it: neither.
    admitted: u64,
    sums: Sums,
}

impl Group {
    /// Does all of `writes` and commits.
    pub(super) fn run(owner: &mut Owner, writes: Vec<Write>) -> Self {
        let synced = writes.iter().any(|write| matches!(write, Write::Accept { .. }));
        let outcome = begin(&owner.connection, synced);
        let done = Vec::with_capacity(writes.len());
        let mut group = Self { outcome, done, ended: HashSet::new(), admitted: 0, sums: Sums::default() };
        for write in writes {
            match (write, group.outcome.clone()) {
                (Write::Accept { reply, .. }, Err(trouble)) => drop(reply.send(Err(trouble))),
                (Write::Settle { reply, .. }, Err(trouble)) => drop(reply.send(Err(trouble))),
                (Write::Accept { offers, now, reply }, Ok(())) => {
                    let result = group.accept(owner, &offers, now);
                    group.keep(owner, result, now, reply, |acceptances, _| acceptances);
                }
                (Write::Settle { settlements, now, reply }, Ok(())) => {
                    let result = group.settle(owner, &settlements, now);
                    group.keep(owner, result, now, reply, |settled, news| Settling { settled, news });
                }
            }
        }
        group.commit(owner);
        group
    }

    /// Changes memory, if it was committed, and answers everybody.
    pub(super) fn finish(self, owner: &mut Owner) {
        let mut answers = Vec::with_capacity(self.done.len());
        if self.outcome.is_ok() {
            owner.sums.add(self.sums);
        }
        for Done { changes, now, answer } in self.done {
            let outcome = self.outcome.clone().map(|()| owner.apply(&changes.effects, now));
            answers.push((answer, outcome));
        }
        for (answer, outcome) in answers {
            answer(outcome);
        }
    }

    fn accept(
        &mut self,
        owner: &mut Owner,
        offers: &[Offer],
        now: Millis,
    ) -> Result<(Vec<Acceptance>, Changes), Trouble> {
        self.make_room(owner, offers, now)?;
        let mut desk = Desk {
            connection: &owner.connection,
            registry: &owner.registry,
            mint: &mut owner.mint,
            window: owner.settings.idempotency_window,
            pending: owner.schedule.pending().saturating_add(self.admitted),
            max_pending: owner.settings.max_pending,
        };
        whole(&owner.connection, || accept(&mut desk, offers, now))
    }

    fn settle(
        &mut self,
        owner: &Owner,
        settlements: &[Settlement],
        now: Millis,
    ) -> Result<(Vec<Settled>, Changes), Trouble> {
        let ended = &mut self.ended;
        whole(&owner.connection, || settle(&owner.connection, &owner.schedule, ended, settlements, now))
    }

    /// In memory, forgets early what is finished when it gets short, and refuses what would not fit.
    fn make_room(&mut self, owner: &Owner, offers: &[Offer], now: Millis) -> Result<(), Trouble> {
        let Some((used, memory_bytes)) = owner.memory()? else { return Ok(()) };
        let used = used.saturating_add(weight(offers));
        if used <= memory_bytes - memory_bytes / 8 {
            return Ok(());
        }
        let horizon = Horizon::early(&owner.settings, now);
        let trimmed = whole(&owner.connection, || trim(&owner.connection, horizon))?;
        self.sums.add(trimmed.sums);
        if used > memory_bytes && trimmed.rows == 0 {
            return Err(Trouble::MemoryFull { used, memory_bytes });
        }
        Ok(())
    }

    /// Keeps what was done until the commit, when `told` makes an answer of it and of the news; what was not is
    /// answered at once.
    fn keep<T: 'static, A: 'static>(
        &mut self,
        owner: &Owner,
        result: Result<(T, Changes), Trouble>,
        now: Millis,
        reply: Reply<A>,
        told: impl FnOnce(T, Vec<News>) -> A + 'static,
    ) {
        match result {
            Ok((done, changes)) => {
                self.sums.add(changes.sums);
                self.admitted = self.admitted.saturating_add(changes.pushed());
                let answer = move |outcome: Result<Vec<News>, Trouble>| {
                    drop(reply.send(outcome.map(|news| told(done, news))));
                };
                self.done.push(Done { changes, now, answer: Box::new(answer) });
            }
            Err(trouble) => {
                if owner.connection.is_autocommit() {
                    self.outcome = Err(trouble.clone());
                }
                drop(reply.send(Err(trouble)));
            }
        }
    }

    fn commit(&mut self, owner: &Owner) {
        if self.outcome.is_ok() {
            let sums = Sums::write(self.sums, &owner.connection);
            self.outcome = sums.and_then(|()| run(&owner.connection, "COMMIT"));
        }
        if self.outcome.is_err()
            && !owner.connection.is_autocommit()
            && let Err(error) = run(&owner.connection, "ROLLBACK")
        {
            tracing::error!(error = &error as &dyn std::error::Error, "store: rollback failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::sync::{Notify, oneshot};

    use super::*;
    use crate::model::{Attempt, Endpoint, Event, EventId, Next, Outcome, Signal, Tenant};
    use crate::seal::Seal;
    use crate::store::embedded::Location;
    use crate::store::embedded::owner::Seeds;
    use crate::store::{Put, Report, StoreFault, StoreSettings};

    /// An owner in memory with one endpoint.
    fn owner() -> Owner {
        let seeds = Seeds { ids: 1, tokens: 1 };
        let wake = Arc::new(Notify::new());
        let mut owner =
            Owner::open(Location::Memory, StoreSettings::default(), Seal::default(), seeds, wake).unwrap();
        let endpoint: Endpoint = serde_json::from_value(serde_json::json!({
            "id": "a", "tenant": "default", "url": "https://a.example", "event_types": ["*"], "secrets": [],
            "headers": {}, "max_in_flight": 10, "rate_limit": null, "timeout_ms": 1000, "retry": {},
            "enabled": true, "declared": false, "description": "", "created_at": 0, "updated_at": 0,
        }))
        .unwrap();
        assert!(owner.put(&endpoint, Put::Create).unwrap());
        owner
    }

    type Answer = oneshot::Receiver<Result<Vec<Acceptance>, Trouble>>;

    fn accept_of(n: u128, bytes: usize) -> (Write, Answer) {
        let tenant = Tenant::default();
        let event = Event {
            id: EventId::fresh(Millis(1), n << 64, &tenant),
            tenant,
            event_type: "x".parse().unwrap(),
            payload: Bytes::from(vec![0; bytes]),
            forgotten_bytes: None,
            content_type: String::new(),
            source: None,
            request_id: String::new(),
            traceparent: None,
            accepted_at: Millis(1),
            deliver_at: None,
            ordering_key: None,
            expires_at: None,
        };
        let (reply, answer) = oneshot::channel();
        let offers = vec![Offer { event: Arc::new(event), keys: Vec::new() }];
        (Write::Accept { offers, now: Millis(1), reply }, answer)
    }

    fn run(owner: &mut Owner, accepts: &[(u128, usize)]) -> Vec<Result<Vec<Acceptance>, Trouble>> {
        let (writes, answers): (Vec<_>, Vec<_>) =
            accepts.iter().map(|(n, bytes)| accept_of(*n, *bytes)).unzip();
        Group::run(owner, writes).finish(owner);
        answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
    }

    fn rows(owner: &Owner, table: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        owner.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    }

    #[test]
    fn one_that_fails_leaves_the_others_alone() {
        let mut owner = owner();
        let answers = run(&mut owner, &[(1, 10), (1, 10), (2, 10)]);
        let done: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        assert_eq!(done, [true, false, true], "the second brings an id that is there");
        assert_eq!((owner.schedule.pending(), rows(&owner, "deliveries"), rows(&owner, "events")), (2, 2, 2));
    }

    #[test]
    fn a_full_disk_is_told_and_what_is_kept_is_safe() {
        let mut owner = owner();
        assert!(run(&mut owner, &[(1, 10)])[0].is_ok());
        let pages: i64 = owner.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        owner.connection.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).unwrap();
        let answers = run(&mut owner, &[(2, 10), (3, 1 << 20), (4, 10)]);
        let full = answers[1].as_ref().unwrap_err();
        assert_eq!(full.fault(), StoreFault::Full, "{full}");
        let accepted = 1 + answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        assert_eq!(owner.schedule.pending(), accepted, "memory knows what was answered");
        assert_eq!(rows(&owner, "deliveries"), accepted, "and the ledger knows the same");
        owner.connection.pragma_update_and_check(None, "max_page_count", pages + 1_000, |_| Ok(())).unwrap();
        assert!(run(&mut owner, &[(3, 1 << 20)])[0].is_ok(), "with room it goes on");
    }

    #[test]
    fn a_fan_out_that_finds_the_disk_full_leaves_nothing_behind() {
        let mut owner = owner();
        let template =
            Endpoint::clone(owner.registry.get(&"a".parse().unwrap()).map(|a| &*a.endpoint).unwrap());
        for n in 1..1_000 {
            let id = format!("a{n}").parse().unwrap();
            assert!(owner.put(&Endpoint { id, ..template.clone() }, Put::Create).unwrap());
        }
        let pages: i64 = owner.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = |owner: &Owner, pages: i64| {
            owner.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        };
        limit(&owner, pages + 10);
        let refused = run(&mut owner, &[(1, 10)]).remove(0).unwrap_err();
        assert_eq!(refused.fault(), StoreFault::Full, "{refused}");
        assert_eq!((owner.schedule.pending(), rows(&owner, "deliveries"), rows(&owner, "events")), (0, 0, 0));
        limit(&owner, pages + 1_000);
        assert_eq!(run(&mut owner, &[(1, 10)])[0].as_ref().unwrap()[0].deliveries, 1_000);
        assert_eq!((owner.schedule.pending(), rows(&owner, "deliveries")), (1_000, 1_000));
    }

    #[test]
    fn a_commit_that_fails_is_everybodys_answer_and_changes_nothing() {
        let mut owner = owner();
        assert!(run(&mut owner, &[(1, 10)])[0].is_ok());
        let grant = owner.schedule.take(Millis(1), Duration::from_secs(1)).unwrap();
        let attempt = Attempt {
            number: 1,
            started_at: Millis(1),
            duration_ms: 1,
            outcome: Outcome::Answered(200),
            response: String::new(),
        };
        let report = Report::Attempted { attempt, next: Next::Delivered, signal: Signal::Success };
        let settlements = vec![Settlement { delivery: grant.delivery, token: grant.held.token, report }];
        let (reply, mut settled) = oneshot::channel();
        let (accept, mut accepted) = accept_of(2, 10);
        // The sums are the last thing written before the commit.
        owner.connection.execute_batch("DROP TABLE sums").unwrap();
        Group::run(&mut owner, vec![accept, Write::Settle { settlements, now: Millis(2), reply }])
            .finish(&mut owner);
        assert!(accepted.try_recv().unwrap().is_err() && settled.try_recv().unwrap().is_err());
        assert_eq!(
            (owner.schedule.pending(), rows(&owner, "deliveries"), rows(&owner, "attempts")),
            (1, 1, 0)
        );
        assert_eq!(owner.schedule.held(grant.delivery), Some(grant.held), "the lease is still held");
        assert!(owner.connection.is_autocommit(), "the transaction is closed");
    }
}
