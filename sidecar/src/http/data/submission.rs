//! Events in the API's form: `{type, data, tenant?, id?, ordering_key?, deliver_at?, ttl_s? | expires_at?}`, one or a
//! batch. Subscribers get `{type, timestamp, data}`, written once, here; `data` is not read, only carried: the bytes that came are the bytes that go.

use std::num::NonZeroU32;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::Problem;
use super::super::json::{self, Object};
use super::super::time::{self, Moment};
use super::offer::{self, Content};
use super::terms::Wish;
use super::{Arrival, Reading};
use crate::clock::Millis;
use crate::model::{EventType, IdempotencyKey, OrderingKey, Tenant};
use crate::store::Offer;

/// The header by which a client names what it must not do twice.
const KEY_HEADER: &str = "idempotency-key";

/// One event as a producer sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission<'a> {
    r#type: EventType,
    #[serde(borrow)]
    data: &'a RawValue,
    tenant: Option<Tenant>,
    id: Option<String>,
    ordering_key: Option<OrderingKey>,
    deliver_at: Option<Moment>,
    ttl_s: Option<NonZeroU32>,
    expires_at: Option<Moment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<Object<Submission<'a>>>,
}

/// Where an event stands in its request.
#[derive(Debug, Clone, Copy)]
enum Place {
    Only,
    Nth(usize),
}

impl Place {
    fn field(self, name: &str) -> String {
        match self {
            Self::Only => name.to_owned(),
            Self::Nth(index) => format!("events[{index}].{name}"),
        }
    }

    /// What tells keys that the whole request brought apart.
    fn suffix(self) -> String {
        match self {
            Self::Only => String::new(),
            Self::Nth(index) => format!("#{index}"),
        }
    }
}

/// The body of `POST /v1/events`.
pub(super) fn one(arrival: &Arrival<'_>, reading: Reading<'_>) -> Result<Offer, Problem> {
    offer_of(json::read(&arrival.body)?, Place::Only, arrival, reading)
}

/// The body of `POST /v1/events/batch`.
pub(super) fn batch(arrival: &Arrival<'_>, reading: Reading<'_>) -> Result<Vec<Offer>, Problem> {
    let Batch { events } = json::read(&arrival.body)?;
    let most = reading.rules.max_batch.get().into();
    if !(1..=most).contains(&events.len()) {
        return Err(invalid("events".to_owned(), &format!("expected 1–{most} events")));
    }
    let numbered = events.into_iter().enumerate();
    numbered.map(|(index, Object(event))| offer_of(event, Place::Nth(index), arrival, reading)).collect()
}

fn offer_of(
    submission: Submission<'_>,
    place: Place,
    arrival: &Arrival<'_>,
    reading: Reading<'_>,
) -> Result<Offer, Problem> {
    let tenant = tenant(submission.tenant, place, arrival, reading)?;
    let keys = keys(submission.id.as_deref(), place, arrival)?;
    let Submission { deliver_at, ttl_s, expires_at, .. } = submission;
    let terms = Wish { deliver_at, ttl_s, expires_at }.grant(arrival.now, reading.rules.ttl);
    let content = Content {
        payload: envelope(&submission.r#type, arrival.now, submission.data),
        event_type: submission.r#type,
        content_type: "application/json".to_owned(),
        ordering_key: submission.ordering_key,
        terms: terms.map_err(|(field, problem)| invalid(place.field(field), problem))?,
    };
    Ok(offer::offer(arrival, tenant, content, keys, reading))
}

/// The bytes that subscribers get.
fn envelope(event_type: &EventType, now: Millis, data: &RawValue) -> Bytes {
    let (timestamp, data) = (time::rfc3339(now), data.get());
    Bytes::from(format!(r#"{{"type":"{event_type}","timestamp":"{timestamp}","data":{data}}}"#))
}

/// The tenant that is asked for; a source has only its own.
fn tenant(
    wanted: Option<Tenant>,
    place: Place,
    arrival: &Arrival<'_>,
    reading: Reading<'_>,
) -> Result<Tenant, Problem> {
    let Some(accepted) = &arrival.accepted else { return Ok(wanted.unwrap_or_default()) };
    let own = offer::tenant_of(accepted, reading.policy)?;
    if wanted.is_some_and(|wanted| wanted != own) {
        return Err(invalid(place.field("tenant"), "this source sends for another tenant"));
    }
    Ok(own)
}

/// The event's own id, the request's key, and what its signature proves.
fn keys(id: Option<&str>, place: Place, arrival: &Arrival<'_>) -> Result<Vec<IdempotencyKey>, Problem> {
    let mut keys = match &arrival.accepted {
        Some(accepted) => offer::replay_keys(accepted, &place.suffix())?,
        None => Vec::new(),
    };
    let scope = arrival
        .accepted
        .as_ref()
        .map_or_else(|| "api".to_owned(), |accepted| format!("src:{}:api", accepted.source));
    if let Some(id) = id {
        keys.push(key(&format!("{scope}:"), id, place.field("id"))?);
    }
    if let Some(header) = arrival.parts.headers.get(KEY_HEADER) {
        let text = header.to_str().map_err(|_opaque| invalid(KEY_HEADER.to_owned(), KEY_RULE))?;
        let scope = match place {
            Place::Only => format!("{scope}:"),
            Place::Nth(index) => format!("{scope}-batch:{index}:"),
        };
        keys.push(key(&scope, text, KEY_HEADER.to_owned())?);
    }
    Ok(keys)
}

const KEY_RULE: &str = "expected 1–256 characters, none of them a control character";

fn key(scope: &str, text: &str, field: String) -> Result<IdempotencyKey, Problem> {
    if !(1..=256).contains(&text.len()) || text.chars().any(char::is_control) {
        return Err(invalid(field, KEY_RULE));
    }
    format!("{scope}{text}").parse().map_err(|_invalid| invalid(field, KEY_RULE))
}

fn invalid(field: String, problem: &str) -> Problem {
    Problem::InvalidField { field, problem: problem.to_owned() }
}
