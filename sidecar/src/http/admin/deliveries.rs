//! `/v1/deliveries` and `/v1/dead-letters`: what became of every event at every endpoint.

use std::num::NonZeroU16;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::super::Problem;
use super::AdminState;
use super::extract::{Asked, Named, page};
use super::view::{DeliveryView, listed};
use crate::model::{DeadReason, DeliveryId, EndpointId, EventId, Status, Tenant};
use crate::store::{DeliveryFilter, Listed};

/// Which deliveries to list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Which {
    tenant: Option<Tenant>,
    event_id: Option<EventId>,
    endpoint_id: Option<EndpointId>,
    status: Option<StatusName>,
    limit: Option<NonZeroU16>,
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusName {
    Pending,
    Delivered,
    Dead,
}

impl From<StatusName> for Status {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Pending => Self::Pending,
            StatusName::Delivered => Self::Delivered,
            StatusName::Dead => Self::Dead(DeadReason::Exhausted),
        }
    }
}

/// `GET /v1/deliveries`: newest first, 200.
pub(super) async fn list(
    State(state): State<AdminState>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Listed<DeliveryView>>, Problem> {
    let page = page(which.limit, which.cursor)?;
    let filter = DeliveryFilter {
        tenant: which.tenant,
        event: which.event_id,
        endpoint: which.endpoint_id,
        status: which.status.map(Into::into),
    };
    Ok(listed(state.shared.store.deliveries(&filter, &page).await?))
}

/// `GET /v1/dead-letters`: the deliveries that will not be tried again by themselves, newest first, 200.
pub(super) async fn dead_letters(
    state: State<AdminState>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Listed<DeliveryView>>, Problem> {
    list(state, Asked(Which { status: Some(StatusName::Dead), ..which })).await
}

/// `GET /v1/deliveries/{id}`: 200 with its attempts.
pub(super) async fn show(
    State(state): State<AdminState>,
    Named(id): Named<DeliveryId>,
) -> Result<Answer<DeliveryView>, Problem> {
    let store = &state.shared.store;
    let delivery = store.delivery(&id).await?.ok_or(Problem::NotFound)?;
    Ok(Answer(DeliveryView::from(delivery).with_attempts(store.attempts(&id).await?)))
}

/// `POST /v1/deliveries/{id}/retry`: due at once, with a fresh schedule. 202.
pub(super) async fn retry(
    State(state): State<AdminState>,
    Named(id): Named<DeliveryId>,
) -> Result<(StatusCode, Answer<DeliveryView>), Problem> {
    let delivery = state.shared.store.retry(&id, state.shared.now()).await?.ok_or(Problem::NotFound)?;
    Ok((StatusCode::ACCEPTED, Answer(delivery.into())))
}
