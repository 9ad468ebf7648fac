//! `/v1/endpoints`: who gets events. A secret is shown by the answer that made it, and never again.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;

use super::super::Problem;
use super::AdminState;
use super::extract::{Asked, Json, Listing, Named, page};
use super::view::EndpointView;
use crate::model::{DisabledReason, Endpoint, EndpointId, SecretKind};
use crate::registry::{self, Draft, Patch, Rotation};
use crate::store::{Listed, Put};

/// `GET /v1/endpoints`: by id, 200.
pub(super) async fn list(
    State(state): State<AdminState>,
    Asked(Listing { tenant, limit, cursor }): Asked<Listing>,
) -> Result<Answer<Listed<EndpointView>>, Problem> {
    let page = page(limit, cursor)?;
    let Listed { data, next_cursor } = state.shared.store.endpoints(tenant.as_ref(), &page).await?;
    let data = data.into_iter().map(|endpoint| state.view(endpoint)).collect();
    Ok(Answer(Listed { data, next_cursor }))
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
    let mut secrets = endpoint.secrets.iter().filter(|secret| secret.kind() == SecretKind::Symmetric);
    let secret = secrets.next().map(|secret| secret.text.clone());
    Ok((StatusCode::CREATED, Answer(state.view(endpoint).with_secret(secret))))
}

/// `GET /v1/endpoints/{id}`: 200.
pub(super) async fn show(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
) -> Result<Answer<EndpointView>, Problem> {
    Ok(Answer(state.view(state.find(&id).await?)))
}

/// `PATCH /v1/endpoints/{id}`: 200 with the whole, and with a secret where a new way of signing needed one; 409 for a
/// declared one.
pub(super) async fn change(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
    Json(patch): Json<Patch>,
) -> Result<Answer<EndpointView>, Problem> {
    let (now, entropy) = (state.shared.now(), state.shared.entropy);
    let changed = state.rewrite(&id, |endpoint| {
        patch.apply(endpoint, now);
        Ok(registry::complete(endpoint, entropy))
    });
    let (endpoint, secret) = changed.await?;
    Ok(Answer(state.view(endpoint).with_secret(secret)))
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

/// `POST /v1/endpoints/{id}/rotate-secret`: 200 with the new secret, or with the new public key. Those before it sign
/// beside it until the grace is over.
pub(super) async fn rotate_secret(
    State(state): State<AdminState>,
    Named(id): Named<EndpointId>,
    Json(rotation): Json<Rotation>,
) -> Result<Answer<EndpointView>, Problem> {
    let (now, entropy) = (state.shared.now(), state.shared.entropy);
    let rotated =
        state.rewrite(&id, |endpoint| registry::rotate(endpoint, rotation, now, entropy).map_err(Into::into));
    let (endpoint, secret) = rotated.await?;
    Ok(Answer(state.view(endpoint).with_secret(secret)))
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
        registry::check_urls(endpoint, &self.egress)?;
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
            Ok(Answer(self.view(endpoint)))
        } else {
            Err(Problem::NotFound)
        }
    }

    fn view(&self, endpoint: Endpoint) -> EndpointView {
        EndpointView::at(self.shared.now(), endpoint)
    }

    /// Reads, changes, checks and writes back an endpoint, one change at a time in this process.
    async fn rewrite<T>(
        &self,
        id: &EndpointId,
        change: impl FnOnce(&mut Endpoint) -> Result<T, Problem>,
    ) -> Result<(Endpoint, T), Problem> {
        let _alone = self.changing.lock().await;
        let mut endpoint = writable(self.find(id).await?)?;
        let said = change(&mut endpoint)?;
        self.check(&endpoint)?;
        if self.shared.store.put_endpoint(&endpoint, Put::Replace).await? {
            Ok((endpoint, said))
        } else {
            Err(Problem::NotFound)
        }
    }
}
