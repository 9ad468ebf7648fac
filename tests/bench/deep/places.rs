//! Which endpoint an event is for: its number says so, to who sends and to who receives.

/// How many there are.
pub(super) const ENDPOINTS: u64 = TENANTS * EACH;
/// Events that are sent in one request, all of one tenant.
pub(super) const BATCH: u64 = 100;
const TENANTS: u64 = 100;
/// Endpoints of a tenant.
const EACH: u64 = 10;

/// The tenant's number: batch by batch the next one's.
const fn tenant_of_event(event: u64) -> u64 {
    event / BATCH % TENANTS
}

/// The number of the only endpoint that an event is for.
pub(super) const fn endpoint_of(event: u64) -> u64 {
    tenant_of_event(event) * EACH + event % EACH
}

/// The tenant that an endpoint belongs to.
pub(super) fn tenant(endpoint: u64) -> String {
    format!("tenant-{}", endpoint / EACH)
}

/// The type of the events that are for an endpoint.
pub(super) fn event_type(endpoint: u64) -> String {
    format!("to.{endpoint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_of_batches_is_as_many_events_for_every_endpoint_each_batch_of_one_tenant() {
        let round = BATCH * TENANTS;
        for endpoint in 0..ENDPOINTS {
            let count = (0..round).filter(|event| endpoint_of(*event) == endpoint).count() as u64;
            assert_eq!(count, BATCH / EACH, "for endpoint {endpoint}");
        }
        for event in 0..2 * round {
            let first = event / BATCH * BATCH;
            assert_eq!(tenant(endpoint_of(event)), tenant(endpoint_of(first)), "of event {event}");
        }
    }
}
