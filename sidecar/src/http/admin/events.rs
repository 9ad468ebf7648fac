//! `/v1/events`: what was accepted. A listing shows no payloads; one event shows its own.

use axum::Json as Answer;
use axum::extract::State;

use super::super::Problem;
use super::AdminState;
use super::extract::{Asked, Listing, Named, page};
use super::view::{EventView, listed};
use crate::model::EventId;
use crate::store::{EventFilter, Listed};

/// `GET /v1/events`: newest first, 200.
pub(super) async fn list(
    State(state): State<AdminState>,
    Asked(Listing { tenant, limit, cursor }): Asked<Listing>,
) -> Result<Answer<Listed<EventView>>, Problem> {
    let page = page(limit, cursor)?;
    Ok(listed(state.shared.store.events(&EventFilter::of(tenant), &page).await?))
}

/// `GET /v1/events/{id}`: 200 with its payload.
pub(super) async fn show(
    State(state): State<AdminState>,
    Named(id): Named<EventId>,
) -> Result<Answer<EventView>, Problem> {
    let event = state.shared.store.event(&id).await?.ok_or(Problem::NotFound)?;
    Ok(Answer(EventView::with_payload(event)))
}
