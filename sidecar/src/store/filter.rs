//! Which deliveries and events are meant, in listings, purges and replays. Pure; every store decides with this.

use std::time::Duration;

use crate::clock::Millis;
use crate::model::{DeadReason, Delivery, EndpointId, Event, EventId, EventType, Glob, Status, Tenant};

/// How far the time in an id may be from the moment it stands for: clocks of replicas differ, a burst of ids runs
/// ahead. Rows this far outside of a time range are still looked at.
const MARGIN: Duration = Duration::from_secs(3_600);

/// A range of time; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Between {
    /// At this moment or later.
    pub since: Option<Millis>,
    /// Before this moment.
    pub until: Option<Millis>,
}

impl Between {
    /// Whether `moment` lies in it.
    #[must_use]
    pub fn holds(self, moment: Millis) -> bool {
        self.since.is_none_or(|since| since <= moment) && self.until.is_none_or(|until| moment < until)
    }

    /// The range in which the ids of what was made in it lie.
    pub(crate) fn of_ids(self) -> Self {
        let earlier = |moment: Millis| Millis(moment.0.saturating_sub(Millis(0).plus(MARGIN).0));
        Self { since: self.since.map(earlier), until: self.until.map(|until| until.plus(MARGIN)) }
    }
}

/// Which deliveries; an empty field is no demand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Of this tenant.
    pub tenant: Option<Tenant>,
    /// Of this event.
    pub event: Option<EventId>,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// In this state; `Dead` with any reason is every dead one.
    pub status: Option<Status>,
    /// Dead for this reason.
    pub reason: Option<DeadReason>,
    /// Of a type that fits any of these.
    pub event_types: Vec<Glob>,
    /// Whose event was accepted then.
    pub created: Between,
    /// That last changed then: a dead letter died then.
    pub updated: Between,
}

impl DeliveryFilter {
    /// Whether a delivery in this state may fit.
    #[must_use]
    pub fn admits(&self, status: Status) -> bool {
        let dead = |status| matches!(status, Status::Dead(_));
        self.status.is_none_or(|wanted| wanted == status || (dead(wanted) && dead(status)))
            && self.reason.is_none_or(|reason| status == Status::Dead(reason))
    }

    /// Whether `delivery` fits.
    #[must_use]
    pub fn fits(&self, delivery: &Delivery) -> bool {
        self.admits(delivery.status)
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == delivery.tenant)
            && self.event.is_none_or(|event| event == delivery.event_id)
            && self.endpoint.as_ref().is_none_or(|endpoint| *endpoint == delivery.endpoint_id)
            && is_any_of(&self.event_types, &delivery.event_type)
            && self.created.holds(delivery.created_at)
            && self.updated.holds(delivery.updated_at)
    }
}

/// Which events; an empty field is no demand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this tenant.
    pub tenant: Option<Tenant>,
    /// Of a type that fits any of these.
    pub event_types: Vec<Glob>,
    /// Accepted then.
    pub accepted: Between,
}

impl EventFilter {
    /// All of one tenant, or all there are.
    #[must_use]
    pub fn of(tenant: Option<Tenant>) -> Self {
        Self { tenant, ..Self::default() }
    }

    /// Whether an event with this head fits.
    #[must_use]
    pub fn admits(&self, tenant: &Tenant, event_type: &EventType, accepted_at: Millis) -> bool {
        self.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
            && is_any_of(&self.event_types, event_type)
            && self.accepted.holds(accepted_at)
    }

    /// Whether `event` fits.
    #[must_use]
    pub fn fits(&self, event: &Event) -> bool {
        self.admits(&event.tenant, &event.event_type, event.accepted_at)
    }
}

fn is_any_of(globs: &[Glob], event_type: &EventType) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(event_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_with_its_first_moment_and_ends_before_its_last() {
        let at = |since, until| Between { since: Some(Millis(since)), until: Some(Millis(until)) };
        let table = [
            ("no bounds", Between::default(), 0, true),
            ("the first moment", at(5, 9), 5, true),
            ("one before it", at(5, 9), 4, false),
            ("the last but one", at(5, 9), 8, true),
            ("the end", at(5, 9), 9, false),
            ("an empty range", at(5, 5), 5, false),
        ];
        for (promise, range, moment, expected) in table {
            assert_eq!(range.holds(Millis(moment)), expected, "{promise}");
        }
    }

    #[test]
    fn a_reason_is_a_demand_on_top_of_dead() {
        let (gone, exhausted) = (Status::Dead(DeadReason::Gone), Status::Dead(DeadReason::Exhausted));
        let filter = |status, reason| DeliveryFilter { status, reason, ..DeliveryFilter::default() };
        let table = [
            ("no demand", filter(None, None), [true, true, true, true]),
            ("any dead", filter(Some(exhausted), None), [false, false, true, true]),
            ("one reason", filter(Some(exhausted), Some(DeadReason::Gone)), [false, false, true, false]),
            ("a reason alone", filter(None, Some(DeadReason::Gone)), [false, false, true, false]),
            ("what cannot be", filter(Some(Status::Pending), Some(DeadReason::Gone)), [false; 4]),
        ];
        for (promise, filter, expected) in table {
            let states = [Status::Pending, Status::Delivered, gone, exhausted];
            assert_eq!(states.map(|status| filter.admits(status)), expected, "{promise}");
        }
    }
}
