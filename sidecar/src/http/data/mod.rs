//! The data listener: events come in. Every request passes the door first; what it is for is decided by its path and
//! by the source that the door found, never by its path alone.
//!
//! | path | who | what |
//! |---|---|---|
//! | `/v1/events` | the API key, or a source with this path | one event, in the API's form |
//! | `/v1/events/batch` | the same | 1–`max_batch` of them, all or none |
//! | a source's path | the source's signature | one event, its bytes as they came |

mod inbound;
mod offer;
mod pointer;
mod submission;
mod terms;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hookgate_policy::{Accepted, Next, Policy, Stamp};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;

use super::access_log::{self, AccessLog};
use super::auth;
pub use super::body::BodyLimits;
use super::body::{self, NoBody};
use super::client::{Peer, client_ip};
use super::door;
pub use super::door::Door;
use super::{Problem, Shared, problem};
use crate::clock::{Millis, Stopwatch};
use crate::entropy::Entropy;
use crate::pressure::Pressure;
use crate::store::{Acceptance, Offer};

const ONE: &str = "/v1/events";
const BATCH: &str = "/v1/events/batch";

/// What the data listener needs.
#[derive(Debug, Clone)]
pub struct DataState {
    /// The common part.
    pub shared: Shared,
    /// The policy.
    pub door: Arc<Door>,
    /// The bounds of bodies.
    pub limits: BodyLimits,
    /// How fast events may be accepted.
    pub pressure: Pressure,
    /// What holds for every event.
    pub rules: EventRules,
}

/// What holds for every event, whatever it asks for.
#[derive(Debug, Clone, Copy)]
pub struct EventRules {
    /// How long after it is first due an event may be tried that does not say itself; `None`: without end.
    pub ttl: Option<Duration>,
    /// Most events in a batch.
    pub max_batch: NonZeroU16,
}

/// The data listener as a service.
pub fn router(state: DataState) -> Router {
    let trusted_proxies = Arc::clone(&state.shared.trusted_proxies);
    let log = AccessLog { listener: "data", trusted_proxies };
    Router::new()
        .fallback(answer)
        .with_state(state)
        .layer(axum::middleware::from_fn_with_state(log, access_log::write))
}

/// A request that the door let in, with its body.
pub(super) struct Arrival<'a> {
    parts: &'a Parts,
    body: Bytes,
    stamp: &'a Stamp,
    /// The source and what it proved; `None` when the API key did.
    accepted: Option<Accepted>,
    now: Millis,
}

/// What arrivals are read by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    policy: &'a Policy,
    entropy: Entropy,
    rules: EventRules,
}

async fn answer(State(state): State<DataState>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let client = client(&parts, &state.shared);
    let begun = state.door.begin(&parts, &body, client, state.shared.now(), (state.shared.entropy)());
    door::apply(begun.edits, &mut parts.headers);
    let stamp = begun.stamp;
    let mut response = match state.enter(begun.next, &parts, body, &stamp).await {
        Ok(response) => response,
        Err(NoBody::Refused(refusal)) => state.door.refuse(refusal, &stamp),
        Err(NoBody::Problem(problem)) => problem::render(problem.into_response(), &stamp.request_id),
    };
    state.door.stamp(&mut response, &stamp);
    response
}

fn client(parts: &Parts, shared: &Shared) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>()?;
    Some(client_ip(peer.0.ip(), &parts.headers, &shared.trusted_proxies))
}

impl DataState {
    /// Reads the body of a request if its head may pass, and serves it.
    async fn enter(&self, next: Next, parts: &Parts, body: Body, stamp: &Stamp) -> Result<Response, NoBody> {
        let (whole, accepted) = match next {
            Next::Refuse(refusal) => return Err(NoBody::Refused(refusal)),
            Next::Verify(verifier) => {
                let clock = &*self.shared.clock;
                let (whole, accepted) = door::verify(verifier, body, &self.limits, clock).await?;
                (whole, Some(accepted))
            }
            Next::Pass => {
                admit(parts, &self.shared)?;
                (body::read(body, &self.limits, |_| Ok(())).await?, None)
            }
        };
        let arrival = Arrival { parts, body: whole.bytes.clone(), stamp, accepted, now: self.shared.now() };
        self.serve(&arrival).await.map_err(NoBody::Problem)
    }

    async fn serve(&self, arrival: &Arrival<'_>) -> Result<Response, Problem> {
        let (policy, entropy) = (self.door.policy(), self.shared.entropy);
        let reading = Reading { policy, entropy, rules: self.rules };
        match (arrival.parts.uri.path(), &arrival.accepted) {
            (ONE, _) => self.accept_one(submission::one(arrival, reading)?).await,
            (BATCH, _) => self.accept_batch(submission::batch(arrival, reading)?).await,
            (_, Some(accepted)) => self.accept_one(inbound::offer(arrival, accepted, reading)?).await,
            (_, None) => Err(Problem::NotFound),
        }
    }

    async fn accept_one(&self, offer: Offer) -> Result<Response, Problem> {
        let answers = self.accept(vec![offer]).await?;
        let acceptance = answers.first().ok_or(Problem::Internal)?;
        Ok((StatusCode::ACCEPTED, axum::Json(acceptance)).into_response())
    }

    async fn accept_batch(&self, offers: Vec<Offer>) -> Result<Response, Problem> {
        let data = self.accept(offers).await?;
        Ok((StatusCode::ACCEPTED, axum::Json(Batch { data })).into_response())
    }

    /// Waits until the first event's tenant may bring more, and accepts. An event counts from then on: what it waited
    /// here is not what its deliveries wait.
    async fn accept(&self, mut offers: Vec<Offer>) -> Result<Vec<Acceptance>, Problem> {
        let Some(tenant) = offers.first().map(|offer| offer.event.tenant.clone()) else {
            return Ok(Vec::new());
        };
        self.pressure.enter(&tenant).await;
        let now = self.shared.now();
        offers.iter_mut().for_each(|offer| Arc::make_mut(&mut offer.event).accepted_at = now);
        let watch = Stopwatch::start();
        let answers = self.shared.store.accept(&offers, now).await?;
        let deliveries = answers.iter().fold(0, |sum: u32, answer| sum.saturating_add(answer.deliveries));
        self.pressure.accepted(&tenant, watch.elapsed(), deliveries);
        Ok(answers)
    }
}

/// What a batch is answered with, in the order of its events.
#[derive(Debug, Serialize)]
struct Batch {
    data: Vec<Acceptance>,
}

/// Judges what the policy leaves to us, before the body is read: only the event API, and only for whom may use it.
fn admit(parts: &Parts, shared: &Shared) -> Result<(), NoBody> {
    let judge = || match parts.uri.path() {
        ONE | BATCH if parts.method != Method::POST => Err(Problem::MethodNotAllowed { allow: Some("POST") }),
        ONE | BATCH => auth::admit(parts, shared.api_key.as_ref()),
        _ => Err(Problem::NotFound),
    };
    judge().map_err(NoBody::Problem)
}
