//! `/v1/endpoints`: who gets events. A secret is shown by the answer that made it, and never again.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;

use super::super::Problem;
use super::AdminState;
use super::extract::{Asked, Json, Listing, Named, page};
use super::view::{EndpointView, listed};
use crate::delivery::egress::check_url;
use crate::model::{DisabledReason, Endpoint, EndpointId};
use crate::registry::{self, Draft, Invalid, Patch};
use crate::store::{Listed, Put};

/// `GET /v1/endpoints`: by id, 200.
pub(super) async fn list(
    State(state): State<AdminState>,
    Asked(Listing { tenant, limit, cursor }): Asked<Listing>,
) -> Result<Answer<Listed<EndpointView>>, Problem> {
    let page = page(limit, cursor)?;
    Ok(listed(state.shared.store.endpoints(tenant.as_ref(), &page).await?))
}

/// `POST /v1/endpoints`: 201 with its secret; 409 when the id is taken; 422 for what cannot be.
pub(super) async fn create(
    State(state): State<AdminState>,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Answer<EndpointView>), Problem> {
    let endpoint = draft.endpoint(state.shared.now(), state.shared.entropy);
    state.check(&endpoint)?;
    if !state.shared.store.put_endpoint(&endpoint, Put::Create).await? {
        return Err(Problem::AlreadyExists);
    }
    let secret = endpoint.secrets.first().cloned();
    Ok((StatusCode::CREATED, Answer(EndpointView::from(endpoint).with_secret(secret))))
}

/// `GET /v1/endpoints/{id}`: 200.
pub(super) async fn show(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
) -> Result<Answer<EndpointView>, Problem> {
    Ok(Answer(state.find(&id).await?.into()))
}

/// `PATCH /v1/endpoints/{id}`: 200 with the whole; 409 for a declared one.
pub(super) async fn change(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
    Json(patch): Json<Patch>,
) -> Result<Answer<EndpointView>, Problem> {
    let now = state.shared.now();
    let (endpoint, ()) = state.rewrite(&id, |endpoint| patch.apply(endpoint, now)).await?;
    Ok(Answer(endpoint.into()))
}

/// `POST /v1/endpoints/{id}/enable`: 200. What waited is due, an open breaker closes, a pause ends; 409 when a
/// declaration says otherwise.
pub(super) async fn enable(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
) -> Result<Answer<EndpointView>, Problem> {
    let now = state.shared.now();
    state.switch(&id, |endpoint| registry::enable(endpoint, now)).await
}

/// `POST /v1/endpoints/{id}/disable`: 200. New events pass it by, pending deliveries wait.
pub(super) async fn disable(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
) -> Result<Answer<EndpointView>, Problem> {
    let now = state.shared.now();
    let off = |endpoint: &mut Endpoint| {
        registry::disable(endpoint, DisabledReason::Operator, now);
        true
    };
    state.switch(&id, off).await
}

/// `POST /v1/endpoints/{id}/pause`: 200. It gets new events, and they wait until it is enabled.
pub(super) async fn pause(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
) -> Result<Answer<EndpointView>, Problem> {
    let now = state.shared.now();
    let wait = |endpoint: &mut Endpoint| {
        registry::pause(endpoint, now);
        true
    };
    state.switch(&id, wait).await
}

/// `POST /v1/endpoints/{id}/rotate-secret`: 200 with the new secret. The one before it signs beside it until the next
/// rotation.
pub(super) async fn rotate_secret(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
) -> Result<Answer<EndpointView>, Problem> {
    let (now, entropy) = (state.shared.now(), state.shared.entropy);
    let (endpoint, secret) = state.rewrite(&id, |endpoint| registry::rotate(endpoint, now, entropy)).await?;
    Ok(Answer(EndpointView::from(endpoint).with_secret(Some(secret))))
}

/// `DELETE /v1/endpoints/{id}`: 204. Its pending deliveries become dead letters.
pub(super) async fn remove(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
) -> Result<StatusCode, Problem> {
    let _alone = state.changing.lock().await;
    writable(state.find(&id).await?)?;
    if state.shared.store.delete_endpoint(&id, state.shared.now()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound)
    }
}

fn writable(endpoint: Endpoint) -> Result<Endpoint, Problem> {
    if endpoint.declared { Err(Problem::ReadOnly) } else { Ok(endpoint) }
}

impl AdminState {
    async fn find(&self, id: &EndpointId) -> Result<Endpoint, Problem> {
        self.shared.store.endpoint(id).await?.ok_or(Problem::NotFound)
    }

    fn check(&self, endpoint: &Endpoint) -> Result<(), Problem> {
        registry::check(endpoint)?;
        let refuse = |problem: String| Invalid { field: "url".to_owned(), problem };
        check_url(&endpoint.url, &self.egress).map_err(|refusal| refuse(refusal.to_string()))?;
        Ok(())
    }

    /// Turns an endpoint off or on, a declared one too: how it stands is no part of its declaration.
    async fn switch(
        &self,
        id: &EndpointId,
        turn: impl FnOnce(&mut Endpoint) -> bool,
    ) -> Result<Answer<EndpointView>, Problem> {
        let _alone = self.changing.lock().await;
        let mut endpoint = self.find(id).await?;
        if !turn(&mut endpoint) {
            return Err(Problem::ReadOnly);
        }
        if self.shared.store.put_endpoint(&endpoint, Put::Replace).await? {
            Ok(Answer(endpoint.into()))
        } else {
            Err(Problem::NotFound)
        }
    }

    /// Reads, changes, checks and writes back an endpoint, one change at a time in this process.
    async fn rewrite<T>(
        &self,
        id: &EndpointId,
        change: impl FnOnce(&mut Endpoint) -> T,
    ) -> Result<(Endpoint, T), Problem> {
        let _alone = self.changing.lock().await;
        let mut endpoint = writable(self.find(id).await?)?;
        let said = change(&mut endpoint);
        self.check(&endpoint)?;
        if self.shared.store.put_endpoint(&endpoint, Put::Replace).await? {
            Ok((endpoint, said))
        } else {
            Err(Problem::NotFound)
        }
    }
}
