//! What an accept is about to make of its offers, and which of that was leased at once.

use std::sync::Arc;

use super::Millis;
use super::record::Damaged;
use crate::model::{DeliveryId, Endpoint, Sight};
use crate::store::{Acceptance, Lease, Offer};

/// An offer with what its tenant's endpoints see of it, however often they are asked.
pub(super) struct Seen<'a> {
    pub(super) offer: &'a Offer,
    pub(super) sight: Sight<'a>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(offer: &'a Offer) -> Self {
        Self { offer, sight: Sight::of(&offer.event) }
    }
}

/// A delivery that is made of an offer, unless that is known.
pub(super) struct Draft {
    pub(super) id: DeliveryId,
    pub(super) endpoint: Arc<Endpoint>,
}

/// An offer with its deliveries, newest first, as they are listed.
pub(super) type Drafted<'a> = (&'a Seen<'a>, Vec<Draft>);

/// The number of a delivery, counted from 1 over all offers, and when its lease ends.
pub(super) type Leased = (usize, u64);

/// How many deliveries could be attempted now.
pub(super) fn due_at_once(drafts: &[Drafted<'_>], now: Millis) -> usize {
    let due = drafts.iter().filter(|(offer, _)| offer.offer.event.due(now) <= now);
    due.map(|(_, drafts)| drafts.len()).sum()
}

/// When the first of the deliveries is due that were made and not leased; by this call, or by the same one whose answer
/// was lost.
pub(super) fn first_due(
    drafts: &[Drafted<'_>],
    answers: &[Acceptance],
    leases: &[Lease],
    now: Millis,
) -> Option<Millis> {
    let waits = |offer: &Seen<'_>, answer: &Acceptance| {
        let leased = leases.iter().filter(|lease| lease.event.id == offer.offer.event.id).count();
        answer.id == offer.offer.event.id
            && usize::try_from(answer.deliveries).is_ok_and(|made| made > leased)
    };
    let made = drafts.iter().zip(answers).filter(|((offer, _), answer)| waits(offer, answer));
    made.map(|((offer, _), _)| offer.offer.event.due(now)).min()
}

/// The first leases of deliveries that were just made.
pub(super) fn read_leases(
    leased: &[Leased],
    token: Option<u64>,
    drafts: &[Drafted<'_>],
) -> Result<Vec<Lease>, Damaged> {
    let damaged = Damaged { what: "a lease of an accept" };
    let Some(token) = token else { return if leased.is_empty() { Ok(Vec::new()) } else { Err(damaged) } };
    let made: Vec<(&Seen<'_>, &Draft)> =
        drafts.iter().flat_map(|(offer, drafts)| drafts.iter().map(move |draft| (*offer, draft))).collect();
    let read = |(number, ends_at): &Leased| {
        let (offer, draft) = made.get(number.checked_sub(1)?)?;
        Some(Lease {
            delivery: draft.id,
            token,
            event: Arc::clone(&offer.offer.event),
            endpoint: Arc::clone(&draft.endpoint),
            attempt: 1,
            step: 1,
            ends_at: Millis(*ends_at),
        })
    };
    leased.iter().map(read).collect::<Option<_>>().ok_or(damaged)
}
