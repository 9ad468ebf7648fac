//! Whose turn it is: tenants in turn, and each tenant's lanes in turn, so that many lanes are not many shares. Pure.

use std::collections::{BTreeSet, HashMap};

use super::Slot;
use crate::model::Tenant;

/// A tenant's number. As many as tenants that ever had an endpoint while this process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Party(usize);

/// The lanes that may be served, in the order in which they will be. Who was served longest ago comes first.
#[derive(Debug, Default)]
pub(super) struct Turns {
    parties: HashMap<Tenant, Party>,
    shares: Vec<Share>,
    /// Tenants with a lane that may be served, by their last turn.
    order: BTreeSet<(u64, Party)>,
    served: u64,
}

/// One tenant's part.
#[derive(Debug, Default)]
struct Share {
    turn: u64,
    /// By their last turn.
    lanes: BTreeSet<(u64, Slot)>,
}

impl Turns {
    /// A tenant's number, given at first sight.
    pub(super) fn party(&mut self, tenant: &Tenant) -> Party {
        if let Some(party) = self.parties.get(tenant) {
            return *party;
        }
        let party = Party(self.shares.len());
        self.shares.push(Share::default());
        self.parties.insert(tenant.clone(), party);
        party
    }

    /// A lane, last served in `turn`, may be served.
    pub(super) fn join(&mut self, party: Party, turn: u64, slot: Slot) {
        let Some(share) = self.shares.get_mut(party.0) else { return };
        share.lanes.insert((turn, slot));
        self.order.insert((share.turn, party));
    }

    /// It may not any more.
    pub(super) fn leave(&mut self, party: Party, turn: u64, slot: Slot) {
        let Some(share) = self.shares.get_mut(party.0) else { return };
        share.lanes.remove(&(turn, slot));
        if share.lanes.is_empty() {
            self.order.remove(&(share.turn, party));
        }
    }

    /// Who is next.
    pub(super) fn first(&self) -> Option<Slot> {
        let (_, party) = self.order.first()?;
        self.shares.get(party.0)?.lanes.first().map(|(_, slot)| *slot)
    }

    /// A lane of this tenant is served: both go to the back. Answers the turn.
    pub(super) fn serve(&mut self, party: Party) -> u64 {
        self.served += 1;
        if let Some(share) = self.shares.get_mut(party.0) {
            let waits = self.order.remove(&(share.turn, party));
            share.turn = self.served;
            if waits {
                self.order.insert((share.turn, party));
            }
        }
        self.served
    }
}
