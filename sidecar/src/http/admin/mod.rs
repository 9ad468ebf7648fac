//! The admin listener: the API over endpoints, events and deliveries, and what machines ask (health, metrics).
//!
//! The API wants the key when there is one; without one the listener is on loopback, and only this machine's own
//! clients are served. Health and metrics are open: they tell nothing of anybody.

mod dead_letters;
mod deliveries;
mod endpoints;
mod events;
mod extract;
mod health;
mod replays;
mod view;
mod which;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use super::access_log::{self, AccessLog};
use super::{Problem, Shared, auth, problem, request_id};
use crate::delivery::egress::EgressSettings;
use crate::telemetry::metrics::Metrics;

/// Largest body of an API request, bytes.
const MAX_BODY: usize = 256 << 10;

/// What the admin listener needs.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// The common part.
    pub shared: Shared,
    /// Where endpoints may be.
    pub egress: EgressSettings,
    /// What `/metrics` shows; `None` when it is switched off.
    pub metrics: Option<Metrics>,
    /// `redis`, `sqlite` or `memory`, for people.
    pub store_kind: &'static str,
    /// Cancelled once the declared endpoints are in step with the configuration: not ready before.
    pub in_step: CancellationToken,
    /// Held while an endpoint is read, changed and written back.
    pub changing: Arc<Mutex<()>>,
    /// Notified when there is a new replay.
    pub replay_wake: Arc<Notify>,
}

/// The admin listener as a service.
pub fn router(state: AdminState) -> Router {
    let log = AccessLog { listener: "admin", trusted_proxies: Arc::clone(&state.shared.trusted_proxies) };
    api()
        .route_layer(from_fn_with_state(state.clone(), guard))
        .merge(health::routes())
        .fallback(|| async { Problem::NotFound })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed { allow: None } })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(state.clone(), finish))
        .layer(from_fn_with_state(log, access_log::write))
        .with_state(state)
}

fn api() -> Router<AdminState> {
    use deliveries as d;
    use endpoints as e;
    Router::new()
        .route("/v1/endpoints", get(e::list).post(e::create))
        .route("/v1/endpoints/{id}", get(e::show).patch(e::change).delete(e::remove))
        .route("/v1/endpoints/{id}/enable", post(e::enable))
        .route("/v1/endpoints/{id}/disable", post(e::disable))
        .route("/v1/endpoints/{id}/pause", post(e::pause))
        .route("/v1/endpoints/{id}/rotate-secret", post(e::rotate_secret))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::show))
        .route("/v1/deliveries", get(d::list))
        .route("/v1/deliveries/{id}", get(d::show))
        .route("/v1/deliveries/{id}/retry", post(d::retry))
        .route("/v1/endpoints/{id}/replay", post(replays::create_for))
        .route("/v1/replays", get(replays::list).post(replays::create))
        .route("/v1/replays/{id}", get(replays::show))
        .route("/v1/replays/{id}/cancel", post(replays::cancel))
        .route("/v1/dead-letters", get(dead_letters::list).delete(dead_letters::purge))
        .route("/v1/dead-letters/{id}", get(dead_letters::show).delete(dead_letters::remove))
}

/// Keeps out whoever may not use the API.
async fn guard(State(state): State<AdminState>, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    auth::admit(&parts, state.shared.api_key.as_ref())?;
    Ok(next.run(Request::from_parts(parts, body)).await)
}

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (http::header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (http::header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (http::header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        http::header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
];

/// Gives every request an id and every response its headers, and a problem its body.
async fn finish(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let id = request_id::of(request.headers(), state.shared.now(), state.shared.entropy);
    let mut response = problem::render(next.run(request).await, &id);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(request_id::HEADER, id);
    }
    response
}
