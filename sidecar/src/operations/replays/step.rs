//! One step of a replay: what there is to make due next, and where the replay stands after it.

use crate::clock::Millis;
use crate::model::{DeadReason, Endpoint, Event, Replay, ReplayOf, ReplayState, Sight, Status, matching};
use crate::store::{Again, Between, DeliveryFilter, EventFilter, Page, Store, StoreError};

/// Deliveries made due by one step, at most; more only when one event goes to more endpoints.
const BATCH: u16 = 50;
/// Events read for one step, at most: they come with their payloads.
const EVENTS: u16 = 20;

/// Any reason stands for all.
const DEAD: Status = Status::Dead(DeadReason::Exhausted);

/// What a step is to do.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) work: Vec<Again>,
    /// Where the next step goes on; `None`: there is none.
    cursor: Option<String>,
}

/// Looks for the next work of a replay, newest first.
pub(super) async fn find(store: &dyn Store, replay: &Replay, now: Millis) -> Result<Found, StoreError> {
    let most = u16::try_from(replay.left()).unwrap_or(u16::MAX).min(BATCH);
    let cursor = replay.cursor.clone();
    if most == 0 {
        return Ok(Found { work: Vec::new(), cursor: None });
    }
    match replay.wanted.of {
        ReplayOf::Dead => finished(store, replay, DEAD, Page { cursor, limit: most }).await,
        ReplayOf::Delivered => finished(store, replay, Status::Delivered, Page { cursor, limit: most }).await,
        ReplayOf::Unsent => unsent(store, replay, most, now).await,
    }
}

/// The replay once the step is done, as it is to be kept.
pub(super) fn after(replay: &Replay, found: &Found, runner: &str, leased_until: Millis) -> Replay {
    let over = found.cursor.is_none();
    Replay {
        state: if over { ReplayState::Done } else { ReplayState::Running },
        cursor: found.cursor.clone(),
        runner: Some(runner.to_owned()),
        leased_until,
        ..replay.clone()
    }
}

async fn finished(
    store: &dyn Store,
    replay: &Replay,
    status: Status,
    page: Page,
) -> Result<Found, StoreError> {
    let wanted = &replay.wanted;
    let filter = DeliveryFilter {
        tenant: Some(wanted.tenant.clone()),
        endpoint: wanted.endpoint.clone(),
        status: Some(status),
        event_types: wanted.event_types.clone(),
        created: Between { since: wanted.since, until: Some(wanted.until) },
        ..DeliveryFilter::default()
    };
    let listed = store.deliveries(&filter, &page).await?;
    let work = listed.data.iter().map(|delivery| Again::Retry(delivery.id)).collect();
    Ok(Found { work, cursor: listed.next_cursor })
}

async fn unsent(store: &dyn Store, replay: &Replay, most: u16, now: Millis) -> Result<Found, StoreError> {
    let wanted = &replay.wanted;
    let endpoints = endpoints(store, replay).await?;
    let share = usize::from(most).checked_div(endpoints.len()).unwrap_or_default();
    if endpoints.is_empty() {
        return Ok(Found { work: Vec::new(), cursor: None });
    }
    let filter = EventFilter {
        tenant: Some(wanted.tenant.clone()),
        event_types: wanted.event_types.clone(),
        accepted: Between { since: wanted.since, until: Some(wanted.until) },
    };
    let limit = u16::try_from(share).unwrap_or(u16::MAX).clamp(1, EVENTS);
    let listed = store.events(&filter, &Page { cursor: replay.cursor.clone(), limit }).await?;
    let mut work = Vec::new();
    // What is not yet due has all its time before it; what has expired would die at once.
    let timely = |event: &&Event| event.deliver_at.is_none_or(|at| at <= now) && !event.has_expired(now);
    for event in listed.data.iter().filter(timely) {
        let sight = Sight::of(event);
        let wanting = matching(&endpoints, &sight);
        work.extend(wanting.map(|endpoint| Again::Send { event: event.id, endpoint: endpoint.id.clone() }));
    }
    Ok(Found { work, cursor: listed.next_cursor })
}

/// The endpoints that may lack something: the one that is asked for, or all of the tenant.
async fn endpoints(store: &dyn Store, replay: &Replay) -> Result<Vec<Endpoint>, StoreError> {
    if let Some(id) = &replay.wanted.endpoint {
        return Ok(store.endpoint(id).await?.into_iter().collect());
    }
    let (mut endpoints, mut cursor) = (Vec::new(), None);
    loop {
        let listed = store.endpoints(Some(&replay.wanted.tenant), &Page { cursor, limit: 250 }).await?;
        endpoints.extend(listed.data);
        cursor = listed.next_cursor;
        if cursor.is_none() {
            return Ok(endpoints);
        }
    }
}
