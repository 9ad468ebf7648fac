//! What machines ask. `livez`: the process answers. `readyz`: it can accept. `healthz`: the same for people, and whether
//! the store has lost data since this process began: it accepts and delivers again, but somebody has to know.

use axum::Json as Answer;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::super::Problem;
use super::AdminState;
use crate::telemetry::logs::Chain;
use crate::telemetry::metrics::Metrics;

/// The open routes.
pub(super) fn routes() -> Router<AdminState> {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
}

#[derive(Debug, Serialize)]
struct Status {
    status: &'static str,
}

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    store: Store,
    declared_endpoints: &'static str,
}

#[derive(Debug, Serialize)]
struct Store {
    kind: &'static str,
    status: &'static str,
    /// How often accepted data was found gone.
    losses: u64,
}

async fn livez() -> Answer<Status> {
    Answer(Status { status: "ok" })
}

/// 200 when the store answers and the declared endpoints are in step, else 503.
async fn readyz(State(state): State<AdminState>) -> (StatusCode, Answer<Status>) {
    let ready = state.in_step.is_cancelled() && state.store_answers().await;
    (code(ready), Answer(Status { status: word(ready, "ok", "unavailable") }))
}

/// The same, with the parts: `degraded` is ready, after a loss.
async fn healthz(State(state): State<AdminState>) -> (StatusCode, Answer<Health>) {
    let (store, in_step) = (state.store_answers().await, state.in_step.is_cancelled());
    let losses = state.shared.store.losses();
    let well = word(losses == 0, "ok", "degraded");
    let health = Health {
        status: word(store && in_step, well, "unavailable"),
        version: env!("CARGO_PKG_VERSION"),
        store: Store { kind: state.store_kind, status: word(store, "ok", "unavailable"), losses },
        declared_endpoints: word(in_step, "in_step", "waiting"),
    };
    (code(store && in_step), Answer(health))
}

/// The metrics; 404 when they are switched off.
async fn metrics(State(state): State<AdminState>) -> Result<Response, Problem> {
    let metrics = state.metrics.as_ref().ok_or(Problem::NotFound)?;
    let census = match state.shared.store.census().await {
        Ok(census) => Some(census),
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "metrics without the store's sums");
            None
        }
    };
    metrics.lost(state.shared.store.losses());
    let text = metrics.scrape(census.as_ref());
    Ok(([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response())
}

impl AdminState {
    async fn store_answers(&self) -> bool {
        match self.shared.store.ping().await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the store does not answer");
                false
            }
        }
    }
}

const fn code(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

const fn word(well: bool, yes: &'static str, no: &'static str) -> &'static str {
    if well { yes } else { no }
}
