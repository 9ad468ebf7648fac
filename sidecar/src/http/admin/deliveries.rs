//! `/v1/deliveries`: what became of every event at every endpoint.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;

use super::super::Problem;
use super::AdminState;
use super::extract::{Asked, Named};
use super::view::{DeliveryView, listed};
use super::which::Which;
use crate::model::DeliveryId;
use crate::store::Listed;

/// `GET /v1/deliveries`: newest first, 200.
pub(super) async fn list(
    State(state): State<AdminState>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Listed<DeliveryView>>, Problem> {
    let (filter, page) = which.split()?;
    Ok(listed(state.shared.store.deliveries(&filter, &page).await?))
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
