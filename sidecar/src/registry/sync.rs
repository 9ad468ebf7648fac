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
    let standing = found.map_or(wanted.standing, |found| found.standing);
    let same = Endpoint { standing, created_at, updated_at, ..wanted.clone() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Draft;
    use crate::store::StoreSettings;
    use crate::store::embedded::{Embedded, Location};

    fn store() -> Embedded {
        Embedded::open(Location::Memory, StoreSettings::default()).unwrap()
    }

    fn endpoint(id: &str, tenant: &str) -> Endpoint {
        let json = format!(r#"{{"url":"https://example.com","id":"{id}","tenant":"{tenant}"}}"#);
        serde_json::from_str::<Draft>(&json).unwrap().endpoint(Millis(0), || 7)
    }

    fn declared(id: &str, tenant: &str) -> Declared {
        Declared(Endpoint { declared: true, ..endpoint(id, tenant) })
    }

    async fn ids(store: &Embedded) -> Vec<(String, String, bool)> {
        let listed = store.endpoints(None, &Page { cursor: None, limit: 250 }).await.unwrap();
        let row = |e: Endpoint| (e.id.to_string(), e.tenant.to_string(), e.declared);
        listed.data.into_iter().map(row).collect()
    }

    #[tokio::test]
    async fn the_store_follows_what_is_declared_and_leaves_the_apis_own_alone() {
        let store = store();
        assert!(store.put_endpoint(&endpoint("api", "t"), Put::Create).await.unwrap());
        let (a, b) = (declared("a", "t"), declared("b", "t"));
        let row = |id: &str, declared| (id.to_owned(), "t".to_owned(), declared);

        let first = sync(&store, &[a.clone(), b.clone()], Millis(1)).await.unwrap();
        assert_eq!(first, Synced { written: 2, removed: 0 });
        assert_eq!(ids(&store).await, [row("a", true), row("api", false), row("b", true)]);

        let again = sync(&store, &[a.clone(), b], Millis(2)).await.unwrap();
        assert_eq!(again, Synced::default(), "what is in step is not written");

        let changed = Declared(Endpoint { description: "new".to_owned(), ..a.0 });
        let fewer = sync(&store, &[changed], Millis(3)).await.unwrap();
        assert_eq!(fewer, Synced { written: 1, removed: 1 });
        let kept = store.endpoint(&"a".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(
            (kept.created_at, kept.updated_at, kept.description.as_str()),
            (Millis(1), Millis(3), "new")
        );
        assert_eq!(ids(&store).await, [row("a", true), row("api", false)]);
    }

    #[tokio::test]
    async fn a_declared_endpoint_that_was_disabled_stays_so() {
        let (store, declared) = (store(), declared("a", "t"));
        sync(&store, std::slice::from_ref(&declared), Millis(1)).await.unwrap();
        let mut endpoint = store.endpoint(&declared.0.id).await.unwrap().unwrap();
        assert!(crate::registry::disable(&mut endpoint, crate::model::DisabledReason::Gone, Millis(2)));
        assert!(store.put_endpoint(&endpoint, Put::Replace).await.unwrap());
        let again = sync(&store, std::slice::from_ref(&declared), Millis(3)).await.unwrap();
        assert_eq!(again, Synced::default(), "it is in step");
        let changed = Declared(Endpoint { description: "new".to_owned(), ..declared.0 });
        sync(&store, std::slice::from_ref(&changed), Millis(4)).await.unwrap();
        let kept = store.endpoint(&changed.0.id).await.unwrap().unwrap();
        assert_eq!((kept.standing, kept.description.as_str()), (endpoint.standing, "new"));
    }

    #[tokio::test]
    async fn a_declared_endpoint_takes_its_id_from_whoever_has_it() {
        for (owner, tenant) in [("t", "t"), ("t", "other")] {
            let store = store();
            assert!(store.put_endpoint(&endpoint("e", owner), Put::Create).await.unwrap());
            sync(&store, &[declared("e", tenant)], Millis(1)).await.unwrap();
            assert_eq!(ids(&store).await, [("e".to_owned(), tenant.to_owned(), true)]);
        }
    }
}
