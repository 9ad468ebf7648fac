//! `/v1/replays`: many deliveries made again, or made at last, with progress and a way to stop it.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::Problem;
use super::super::time::Moment;
use super::AdminState;
use super::extract::{Asked, Json, Listing, Named, page};
use super::view::listed;
use crate::clock::Millis;
use crate::model::{Endpoint, EndpointId, Glob, Replay, ReplayId, ReplayOf, ReplayState, Tenant, Wanted};
use crate::operations::replays::MOST_RUNNING;
use crate::store::{Listed, Page, ReplayFilter};

/// How often a cancellation is tried that a step of the replay came before.
const TRIES: u8 = 8;

/// What is to be replayed. It is all of one tenant: the endpoint's, else `tenant`, else `default`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    tenant: Option<Tenant>,
    endpoint_id: Option<EndpointId>,
    /// `dead`, `delivered` or `unsent`.
    status: ReplayOf,
    /// Patterns, as in an endpoint; without any, all.
    #[serde(default)]
    event_types: Vec<Glob>,
    /// Events accepted at this moment or later; without it, as far back as is remembered.
    since: Option<Moment>,
    /// Events accepted before this moment; without it, all there are now.
    until: Option<Moment>,
    /// At most so many deliveries; without it, all.
    limit: Option<u64>,
}

/// A span of events that an endpoint never saw.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    since: Moment,
    until: Option<Moment>,
}

/// A replay.
#[derive(Debug, Serialize)]
pub(super) struct ReplayView {
    id: ReplayId,
    tenant: Tenant,
    endpoint_id: Option<EndpointId>,
    status: ReplayOf,
    event_types: Vec<Glob>,
    since: Option<Moment>,
    until: Moment,
    limit: Option<u64>,
    /// `running`, `done` or `cancelled`.
    state: ReplayState,
    /// Looked at so far, of what fits: those made due and those that could not be.
    matched: u64,
    replayed: u64,
    failed: u64,
    created_at: Moment,
    updated_at: Moment,
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> Self {
        let wanted = replay.wanted;
        Self {
            id: replay.id,
            tenant: wanted.tenant,
            endpoint_id: wanted.endpoint,
            status: wanted.of,
            event_types: wanted.event_types,
            since: wanted.since.map(Moment),
            until: Moment(wanted.until),
            limit: Some(wanted.limit).filter(|limit| *limit < u64::MAX),
            state: replay.state,
            matched: replay.replayed.saturating_add(replay.failed),
            replayed: replay.replayed,
            failed: replay.failed,
            created_at: Moment(replay.created_at),
            updated_at: Moment(replay.updated_at),
        }
    }
}

/// `POST /v1/replays`: begun, 202; 409 when too many run; 422 for an endpoint that is not there.
pub(super) async fn create(
    State(state): State<AdminState>,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Answer<ReplayView>), Problem> {
    let tenant = match &draft.endpoint_id {
        None => draft.tenant.clone().unwrap_or_default(),
        Some(id) => {
            let found = state.shared.store.endpoint(id).await?;
            let theirs =
                |endpoint: &Endpoint| draft.tenant.as_ref().is_none_or(|tenant| *tenant == endpoint.tenant);
            found.filter(theirs).ok_or_else(|| invalid("endpoint_id", "there is none of this name"))?.tenant
        }
    };
    if draft.event_types.len() > 64 {
        return Err(invalid("event_types", "expected at most 64 patterns"));
    }
    if draft.limit == Some(0) {
        return Err(invalid("limit", "expected at least 1"));
    }
    let now = state.shared.now();
    let wanted = Wanted {
        tenant,
        endpoint: draft.endpoint_id,
        of: draft.status,
        event_types: draft.event_types,
        since: draft.since.map(|moment| moment.0),
        until: until(draft.until, now),
        limit: draft.limit.unwrap_or(u64::MAX),
    };
    state.begin(wanted).await
}

/// `POST /v1/endpoints/{id}/replay`: events since a moment that the endpoint wants and never saw. 202.
pub(super) async fn create_for(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
    Json(span): Json<Span>,
) -> Result<(StatusCode, Answer<ReplayView>), Problem> {
    let endpoint = state.shared.store.endpoint(&id).await?.ok_or(Problem::NotFound)?;
    let now = state.shared.now();
    let wanted = Wanted {
        tenant: endpoint.tenant,
        endpoint: Some(id),
        of: ReplayOf::Unsent,
        event_types: Vec::new(),
        since: Some(span.since.0),
        until: until(span.until, now),
        limit: u64::MAX,
    };
    state.begin(wanted).await
}

/// `GET /v1/replays`: newest first, 200.
pub(super) async fn list(
    State(state): State<AdminState>,
    Asked(Listing { tenant, limit, cursor }): Asked<Listing>,
) -> Result<Answer<Listed<ReplayView>>, Problem> {
    let page = page(limit, cursor)?;
    Ok(listed(state.shared.store.replays(&ReplayFilter { tenant, running: false }, &page).await?))
}

/// `GET /v1/replays/{id}`: 200.
pub(super) async fn show(
    State(state): State<AdminState>,
    Named(id): Named<ReplayId>,
) -> Result<Answer<ReplayView>, Problem> {
    Ok(Answer(state.shared.store.replay(&id).await?.ok_or(Problem::NotFound)?.into()))
}

/// `POST /v1/replays/{id}/cancel`: no further step is done, 200. What was replayed stays so; one that is over stays as
/// it is.
pub(super) async fn cancel(
    State(state): State<AdminState>,
    Named(id): Named<ReplayId>,
) -> Result<Answer<ReplayView>, Problem> {
    let store = &state.shared.store;
    for _ in 0..TRIES {
        let replay = store.replay(&id).await?.ok_or(Problem::NotFound)?;
        if replay.state != ReplayState::Running {
            return Ok(Answer(replay.into()));
        }
        let cancelled = Replay { state: ReplayState::Cancelled, ..replay };
        if let Some(kept) = store.advance(&cancelled, &[], state.shared.now()).await? {
            return Ok(Answer(kept.into()));
        }
    }
    Err(Problem::Busy)
}

/// What comes after `now` is no part of a replay.
fn until(asked: Option<Moment>, now: Millis) -> Millis {
    let end = now.plus(Duration::from_millis(1));
    asked.map_or(end, |moment| moment.0.min(end))
}

fn invalid(field: &str, problem: &str) -> Problem {
    Problem::InvalidField { field: field.to_owned(), problem: problem.to_owned() }
}

impl AdminState {
    async fn begin(&self, wanted: Wanted) -> Result<(StatusCode, Answer<ReplayView>), Problem> {
        let (store, now) = (&self.shared.store, self.shared.now());
        let page = Page { cursor: None, limit: MOST_RUNNING };
        let running = store.replays(&ReplayFilter { tenant: None, running: true }, &page).await?;
        if running.data.len() >= usize::from(MOST_RUNNING) {
            return Err(Problem::TooManyReplays);
        }
        let id = ReplayId::fresh(now, (self.shared.entropy)(), &wanted.tenant);
        let begun = store.advance(&Replay::new(id, wanted, now), &[], now).await?;
        self.replay_wake.notify_one();
        Ok((StatusCode::ACCEPTED, Answer(begun.ok_or(Problem::Internal)?.into())))
    }
}
