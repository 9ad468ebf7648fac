//! The endpoints, all of them in memory: accept and take ask here, never the file.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::fault::Trouble;
use super::schedule::Slot;
use crate::model::{Endpoint, EndpointId, Event, Line, Sight, Tenant, matching};
use crate::seal::Seal;
use crate::store::{Listed, Page, Put};

/// One live endpoint.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) slot: Slot,
    pub(super) endpoint: Arc<Endpoint>,
}

/// Every live endpoint, by id, by slot and by tenant.
#[derive(Debug, Default)]
pub(super) struct Registry {
    by_id: BTreeMap<EndpointId, Entry>,
    by_slot: HashMap<Slot, Arc<Endpoint>>,
    by_tenant: HashMap<Tenant, BTreeMap<Slot, Arc<Endpoint>>>,
}

impl Registry {
    /// What the file has.
    pub(super) fn load(connection: &Connection, seal: &Seal) -> Result<Self, Trouble> {
        let mut registry = Self::default();
        let mut statement = connection.prepare("SELECT slot, body FROM endpoints WHERE body IS NOT NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let body = row.get_ref("body")?.as_str().map_err(rusqlite::Error::from)?;
            let endpoint = seal.read(body.as_bytes())?;
            registry.insert(Slot(row.get("slot")?), Arc::new(endpoint));
        }
        Ok(registry)
    }

    /// The live endpoint of this name.
    pub(super) fn get(&self, id: &EndpointId) -> Option<&Entry> {
        self.by_id.get(id)
    }

    /// The live endpoint in this slot.
    pub(super) fn at(&self, slot: Slot) -> Option<&Arc<Endpoint>> {
        self.by_slot.get(&slot)
    }

    /// Every live endpoint, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_id.values()
    }

    /// Where an event goes, and in which line it stands there.
    pub(super) fn fan_out(&self, event: &Event) -> Vec<(Slot, Option<Line>)> {
        let endpoints = self.by_tenant.get(&event.tenant).into_iter().flat_map(BTreeMap::values);
        let sight = Sight::of(event);
        let wanted = matching(endpoints.map(Arc::as_ref), &sight);
        let key = event.ordering_key.as_ref();
        let entries = wanted.filter_map(|endpoint| self.by_id.get(&endpoint.id));
        entries.map(|entry| (entry.slot, entry.endpoint.ordering.line(key))).collect()
    }

    /// A page by id.
    pub(super) fn page(&self, tenant: Option<&Tenant>, page: &Page) -> Result<Listed<Endpoint>, Trouble> {
        let after = page.after::<EndpointId>()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let limit = usize::from(page.limit.max(1));
        let entries = self.by_id.range((from, Bound::Unbounded)).map(|(_, entry)| entry);
        let mut mine = entries.filter(|entry| tenant.is_none_or(|tenant| *tenant == entry.endpoint.tenant));
        let data: Vec<Endpoint> =
            mine.by_ref().take(limit).map(|entry| Endpoint::clone(&entry.endpoint)).collect();
        let more = mine.next().is_some();
        let next_cursor = data.last().filter(|_| more).map(|endpoint| endpoint.id.to_string());
        Ok(Listed { data, next_cursor })
    }

    /// Whether `put` may write `endpoint` as things are.
    pub(super) fn allows(&self, endpoint: &Endpoint, put: Put) -> bool {
        match (self.by_id.get(&endpoint.id), put) {
            (None, Put::Create | Put::Upsert) => true,
            (Some(entry), Put::Replace | Put::Upsert) => entry.endpoint.tenant == endpoint.tenant,
            (None, Put::Replace) | (Some(_), Put::Create) => false,
        }
    }

    /// Takes in what was [`write`]n.
    pub(super) fn insert(&mut self, slot: Slot, endpoint: Arc<Endpoint>) {
        self.by_slot.insert(slot, Arc::clone(&endpoint));
        self.by_tenant.entry(endpoint.tenant.clone()).or_default().insert(slot, Arc::clone(&endpoint));
        self.by_id.insert(endpoint.id.clone(), Entry { slot, endpoint });
    }

    /// Takes in what was [`mark_deleted`].
    pub(super) fn remove(&mut self, id: &EndpointId) {
        let Some(Entry { slot, endpoint }) = self.by_id.remove(id) else { return };
        self.by_slot.remove(&slot);
        if let Some(mine) = self.by_tenant.get_mut(&endpoint.tenant) {
            mine.remove(&slot);
            if mine.is_empty() {
                self.by_tenant.remove(&endpoint.tenant);
            }
        }
    }
}

/// Writes an endpoint; answers its slot. One of the same name and tenant that was deleted is revived.
pub(super) fn write(connection: &Connection, endpoint: &Endpoint, seal: &Seal) -> Result<Slot, Trouble> {
    let body = seal.write(endpoint)?;
    let slot = connection
        .prepare_cached(
            "INSERT INTO endpoints (id, tenant, body) VALUES (?1, ?2, ?3) \
             ON CONFLICT (id, tenant) DO UPDATE SET body = excluded.body RETURNING slot",
        )?
        .query_row(params![endpoint.id.as_str(), endpoint.tenant.as_str(), body], |row| row.get(0))?;
    Ok(Slot(slot))
}

/// Marks an endpoint as deleted: its row stays, for the deliveries that name it.
pub(super) fn mark_deleted(connection: &Connection, slot: Slot) -> Result<(), Trouble> {
    connection.prepare_cached("UPDATE endpoints SET body = NULL WHERE slot = ?1")?.execute([slot.0])?;
    Ok(())
}
