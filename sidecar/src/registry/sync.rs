//! Keeps the store's declared endpoints in step with the configuration: once, at start; safe to repeat.

use std::collections::BTreeSet;

use crate::clock::Millis;
use crate::config::Declared;
use crate::model::{Endpoint, EndpointId};
use crate::store::{Page, Put, Store, StoreError};

/// What [`sync`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Written, because new or changed.
    pub written: u32,
    /// Removed, because no longer declared.
    pub removed: u32,
}

/// Writes what is declared and differs, removes what was declared and is no more (its pending deliveries become dead
/// letters). An endpoint of the API with a declared one's id becomes the declared one.
///
/// # Errors
/// When the store fails; what was done stays, and the next call does the rest.
pub async fn sync(store: &dyn Store, declared: &[Declared], now: Millis) -> Result<Synced, StoreError> {
    let mut done = Synced::default();
    for Declared(wanted) in declared {
        let found = store.endpoint(&wanted.id).await?;
        if let Some(endpoint) = change(found.as_ref(), wanted, now) {
            put(store, &endpoint, now).await?;
            done.written = done.written.saturating_add(1);
        }
    }
    let kept: BTreeSet<&EndpointId> = declared.iter().map(|Declared(endpoint)| &endpoint.id).collect();
    for id in declared_ids(store).await?.iter().filter(|id| !kept.contains(id)) {
        if store.delete_endpoint(id, now).await? {
            done.removed = done.removed.saturating_add(1);
        }
    }
    Ok(done)
}

/// Writes an endpoint whoever has its id: what another tenant had under it is removed first.
async fn put(store: &dyn Store, endpoint: &Endpoint, now: Millis) -> Result<(), StoreError> {
    if !store.put_endpoint(endpoint, Put::Upsert).await? {
        store.delete_endpoint(&endpoint.id, now).await?;
        store.put_endpoint(endpoint, Put::Upsert).await?;
    }
    Ok(())
}

/// What to write so that the store has what is wanted; `None` when it has.
fn change(found: Option<&Endpoint>, wanted: &Endpoint, now: Millis) -> Option<Endpoint> {
    let created_at = found.map_or(now, |found| found.created_at);
    let updated_at = found.map_or(now, |found| found.updated_at);
    let same = Endpoint { created_at, updated_at, ..wanted.clone() };
    if found == Some(&same) { None } else { Some(Endpoint { updated_at: now, ..same }) }
}

async fn declared_ids(store: &dyn Store) -> Result<Vec<EndpointId>, StoreError> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let listed = store.endpoints(None, &Page { cursor, limit: 250 }).await?;
        ids.extend(listed.data.into_iter().filter(|endpoint| endpoint.declared).map(|endpoint| endpoint.id));
        cursor = listed.next_cursor;
        if cursor.is_none() {
            return Ok(ids);
        }
    }
}
