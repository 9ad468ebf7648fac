//! Group commit: the accepts and settles that arrived together, as one transaction. Each is done wholly or not at all,
//! one that fails leaves the others alone, and nobody hears of it before it is durable.

use std::collections::HashSet;

use super::accept::{Desk, accept, weight};
use super::changes::{Changes, Sums};
use super::fault::Trouble;
use super::owner::{Owner, Reply};
use super::settle::settle;
use super::transaction::{run, whole};
use super::trim::{Horizon, trim};
use crate::clock::Millis;
use crate::model::DeliveryId;
use crate::store::{Acceptance, Offer, Settled, Settlement};

/// A write of the hot path.
pub(super) enum Write {
    Accept { offers: Vec<Offer>, now: Millis, reply: Reply<Vec<Acceptance>> },
    Settle { settlements: Vec<Settlement>, now: Millis, reply: Reply<Vec<Settled>> },
}

/// A write that is done but not durable yet.
struct Done {
    changes: Changes,
    now: Millis,
    answer: Box<dyn FnOnce(Result<(), Trouble>)>,
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
        let outcome = run(&owner.connection, "BEGIN IMMEDIATE");
        let done = Vec::with_capacity(writes.len());
        let mut group = Self { outcome, done, ended: HashSet::new(), admitted: 0, sums: Sums::default() };
        for write in writes {
            match (write, group.outcome.clone()) {
                (Write::Accept { reply, .. }, Err(trouble)) => drop(reply.send(Err(trouble))),
                (Write::Settle { reply, .. }, Err(trouble)) => drop(reply.send(Err(trouble))),
                (Write::Accept { offers, now, reply }, Ok(())) => {
                    let result = group.accept(owner, &offers, now);
                    group.keep(owner, result, now, reply);
                }
                (Write::Settle { settlements, now, reply }, Ok(())) => {
                    let result = group.settle(owner, &settlements, now);
                    group.keep(owner, result, now, reply);
                }
            }
        }
        group.commit(owner);
        group
    }

    /// Changes memory, if it was committed, and answers everybody.
    pub(super) fn finish(self, owner: &mut Owner) {
        if self.outcome.is_ok() {
            owner.sums.add(self.sums);
            for Done { changes, now, .. } in &self.done {
                owner.apply(&changes.effects, *now);
            }
        }
        for Done { answer, .. } in self.done {
            answer(self.outcome.clone());
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
        let (trimmed, sums) = whole(&owner.connection, || trim(&owner.connection, horizon))?;
        self.sums.add(sums);
        if used > memory_bytes && trimmed == 0 {
            return Err(Trouble::MemoryFull { used, memory_bytes });
        }
        Ok(())
    }

    /// Keeps what was done until the commit; what was not is answered at once.
    fn keep<T: 'static>(
        &mut self,
        owner: &Owner,
        result: Result<(T, Changes), Trouble>,
        now: Millis,
        reply: Reply<T>,
    ) {
        match result {
            Ok((answer, changes)) => {
                self.sums.add(changes.sums);
                self.admitted = self.admitted.saturating_add(changes.pushed());
                let answer = move |outcome: Result<(), Trouble>| drop(reply.send(outcome.map(|()| answer)));
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
