//! `/v1/dead-letters`: the deliveries that will not be tried again by themselves, to be looked at and to be forgotten.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::super::Problem;
use super::AdminState;
use super::deliveries;
use super::extract::{Asked, Named};
use super::view::DeliveryView;
use super::which::Which;
use crate::model::{DeliveryId, Status};
use crate::store::{DeliveryFilter, Listed, Page};

/// Pages that one purge goes through, at most: some 5,000 dead letters.
const PAGES: u8 = 20;
/// Dead letters forgotten together.
const PAGE: u16 = 250;

/// `GET /v1/dead-letters`: newest first, 200.
pub(super) async fn list(
    state: State<AdminState>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Listed<DeliveryView>>, Problem> {
    deliveries::list(state, Asked(which.dead())).await
}

/// `GET /v1/dead-letters/{id}`: 200 with its attempts; 404 for a delivery that is not dead.
pub(super) async fn show(
    State(state): State<AdminState>,
    Named(id): Named<DeliveryId>,
) -> Result<Answer<DeliveryView>, Problem> {
    let store = &state.shared.store;
    let delivery = store.delivery(&id).await?.filter(|delivery| matches!(delivery.status, Status::Dead(_)));
    let view = DeliveryView::from(delivery.ok_or(Problem::NotFound)?);
    Ok(Answer(view.with_attempts(store.attempts(&id).await?)))
}

/// `DELETE /v1/dead-letters/{id}`: forgotten, 204; 404 for a delivery that is not dead.
pub(super) async fn remove(
    State(state): State<AdminState>,
    Named(id): Named<DeliveryId>,
) -> Result<StatusCode, Problem> {
    match state.shared.store.purge(&[id]).await? {
        0 => Err(Problem::NotFound),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// What a purge did.
#[derive(Debug, Serialize)]
pub(super) struct Purged {
    /// Dead letters forgotten.
    purged: u64,
    /// Whether there may be more: call again.
    more: bool,
}

/// `DELETE /v1/dead-letters`: forgets those that a listing with the same query would show, a bounded number in one
/// call, 200. Something must say which: nobody forgets everything by a slip.
pub(super) async fn purge(
    State(state): State<AdminState>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Purged>, Problem> {
    let (filter, Page { mut cursor, .. }) = which.dead().split()?;
    if filter == Which::default().dead().split()?.0 {
        let problem = "expected at least one parameter that says which dead letters".to_owned();
        return Err(Problem::InvalidField { field: "query".to_owned(), problem });
    }
    let mut done = Purged { purged: 0, more: true };
    for _ in 0..PAGES {
        let listed = state.page_of(&filter, cursor).await?;
        let ids: Vec<DeliveryId> = listed.data.iter().map(|delivery| delivery.id).collect();
        done.purged = done.purged.saturating_add(state.shared.store.purge(&ids).await?);
        cursor = listed.next_cursor;
        if cursor.is_none() {
            done.more = false;
            break;
        }
    }
    Ok(Answer(done))
}

impl AdminState {
    async fn page_of(
        &self,
        filter: &DeliveryFilter,
        cursor: Option<String>,
    ) -> Result<Listed<crate::model::Delivery>, Problem> {
        Ok(self.shared.store.deliveries(filter, &Page { cursor, limit: PAGE }).await?)
    }
}
