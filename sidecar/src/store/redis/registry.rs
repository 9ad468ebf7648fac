//! The endpoints: written through to Redis, remembered here by tenant and version, and written again when Redis lost
//! them.
//!
//! The memory is as large as the registry, which only operators fill.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::cmd;

use super::fault::{bad_cursor, failed, unsealed};
use super::keys::Shard;
use super::link::{Again, Commands};
use super::{Millis, Shared, StoreError, scripts};
use crate::model::{BreakerRules, Endpoint, EndpointId, Tenant};
use crate::store::{Listed, Page, Put, StoreFault};

/// The field of a tenant's hash that holds its version; no endpoint can be called so.
const VERSION: &str = "@";
/// Deliveries buried by one script when their endpoint is deleted.
const BURY: u16 = 500;

/// A tenant's endpoints, by id, as they were at a version.
#[derive(Debug, Default)]
pub(super) struct TenantView {
    /// Empty when the tenant never had any.
    pub(super) version: String,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
}

/// A view, and whether nothing was heard of a change since it was read.
#[derive(Debug)]
struct Known {
    view: Arc<TenantView>,
    fresh: bool,
}

/// What is remembered of every tenant that ever had endpoints.
#[derive(Debug, Default)]
pub(super) struct Registry {
    tenants: Mutex<HashMap<Tenant, Known>>,
}

impl Registry {
    fn tenants(&self) -> MutexGuard<'_, HashMap<Tenant, Known>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest that is known, fresh or not.
    fn latest(&self, tenant: &Tenant) -> Option<Arc<TenantView>> {
        self.tenants().get(tenant).map(|known| Arc::clone(&known.view))
    }

    fn fresh(&self, tenant: &Tenant) -> Option<Arc<TenantView>> {
        self.tenants().get(tenant).filter(|known| known.fresh).map(|known| Arc::clone(&known.view))
    }

    /// Remembers a view; a tenant of whom there is nothing to know is forgotten.
    fn set(&self, tenant: &Tenant, view: &Arc<TenantView>) {
        if view.version.is_empty() {
            self.tenants().remove(tenant);
        } else {
            self.tenants().insert(tenant.clone(), Known { view: Arc::clone(view), fresh: true });
        }
    }

    /// A tenant's endpoints changed, we do not know how; it may be its first one.
    pub(super) fn stale(&self, tenant: &Tenant) {
        let unknown = || Known { view: Arc::default(), fresh: false };
        self.tenants().entry(tenant.clone()).or_insert_with(unknown).fresh = false;
    }

    /// We wrote (`Some`) or deleted an endpoint ourselves. Others may have done so as well: it is read again before
    /// it is used, but should Redis lose it first, this is what is written again.
    fn changed(&self, tenant: &Tenant, id: &EndpointId, endpoint: Option<&Endpoint>) {
        let mut tenants = self.tenants();
        let former = tenants.get(tenant).map(|known| known.view.as_ref());
        let others = former.into_iter().flat_map(|view| &view.endpoints).filter(|other| other.id != *id);
        let endpoints = others.map(Arc::clone).chain(endpoint.cloned().map(Arc::new)).collect();
        let version = former.map(|view| view.version.clone()).unwrap_or_default();
        let view = Arc::new(TenantView { version, endpoints });
        tenants.insert(tenant.clone(), Known { view, fresh: false });
    }

    pub(super) fn known(&self) -> Vec<Tenant> {
        self.tenants().keys().cloned().collect()
    }

    fn all_stale(&self) -> Vec<Tenant> {
        self.tenants().iter().filter(|(_, known)| !known.fresh).map(|(tenant, _)| tenant.clone()).collect()
    }
}

impl Shared {
    /// How many endpoints a tenant has, as far as it is known.
    pub(super) fn endpoints_of(&self, tenant: &Tenant) -> usize {
        self.registry.latest(tenant).map_or(0, |view| view.endpoints.len())
    }

    /// Reads again what changed since it was read.
    pub(super) async fn catch_up(&self, operation: &'static str) -> Result<(), StoreError> {
        for tenant in self.registry.all_stale() {
            self.refresh(operation, &tenant).await?;
        }
        Ok(())
    }

    /// Reads the whole registry, so that a loss can be made good.
    pub(super) async fn learn_endpoints(&self, operation: &'static str) -> Result<(), StoreError> {
        let mut tenants = BTreeSet::new();
        for shard in Shard::all() {
            let all = cmd("ZRANGE").arg(self.keys.index(shard, "endpoints")).arg(0).arg(-1).take();
            let ids: Vec<String> = self.link.ask(shard, all).await.map_err(failed(operation))?;
            for chunk in ids.chunks(500) {
                let mut owners = Commands::default();
                for id in chunk {
                    let state = self.keys.index(shard, format_args!("ep:{id}"));
                    owners.add(shard, cmd("HGET").arg(state).arg("tenant").take());
                }
                let names: Vec<Option<String>> = self.link.query(owners).await.map_err(failed(operation))?;
                tenants.extend(names.into_iter().flatten().filter_map(|name| name.parse::<Tenant>().ok()));
            }
        }
        for tenant in tenants {
            self.refresh(operation, &tenant).await?;
        }
        Ok(())
    }

    /// A tenant's endpoints as they were when last looked at.
    pub(super) async fn tenant(
        &self,
        operation: &'static str,
        tenant: &Tenant,
    ) -> Result<Arc<TenantView>, StoreError> {
        match self.registry.fresh(tenant) {
            Some(view) => Ok(view),
            None => self.refresh(operation, tenant).await,
        }
    }

    /// A tenant's endpoints as they are. When Redis lost them, they are first written again.
    pub(super) async fn refresh(
        &self,
        operation: &'static str,
        tenant: &Tenant,
    ) -> Result<Arc<TenantView>, StoreError> {
        let mut view = self.read_tenant(operation, tenant).await?;
        let former = self.registry.latest(tenant).filter(|_| view.version.is_empty());
        if let Some(former) = former {
            for endpoint in &former.endpoints {
                self.write_endpoint(operation, endpoint, Put::Create).await?;
            }
            view = self.read_tenant(operation, tenant).await?;
        }
        let view = Arc::new(view);
        self.registry.set(tenant, &view);
        Ok(view)
    }

    async fn read_tenant(&self, operation: &'static str, tenant: &Tenant) -> Result<TenantView, StoreError> {
        let shard = Shard::of(tenant);
        let all = cmd("HGETALL").arg(self.keys.index(shard, format_args!("tenant:{tenant}"))).take();
        let mut fields: BTreeMap<String, Vec<u8>> =
            self.link.ask(shard, all).await.map_err(failed(operation))?;
        let version = fields.remove(VERSION).unwrap_or_default();
        let endpoints: Result<Vec<_>, _> =
            fields.values().map(|json| self.seal.read(json).map(Arc::new)).collect();
        Ok(TenantView {
            version: String::from_utf8_lossy(&version).into_owned(),
            endpoints: endpoints.map_err(unsealed(operation))?,
        })
    }

    async fn write_endpoint(
        &self,
        operation: &'static str,
        endpoint: &Endpoint,
        put: Put,
    ) -> Result<bool, StoreError> {
        let shard = Shard::of(&endpoint.tenant);
        let json = self.seal.write(endpoint).map_err(unsealed(operation))?;
        let gap_us = endpoint.rate_limit.map_or(0, |rate| 1_000_000 / u32::from(rate.get()));
        let mode = match put {
            Put::Create => "create",
            Put::Replace => "replace",
            Put::Upsert => "upsert",
        };
        let mut call = scripts::PUT.prepare_invoke();
        call.key(self.keys.prefix(shard)).arg(mode).arg(endpoint.id.as_str()).arg(endpoint.tenant.as_str());
        call.arg(json)
            .arg(u8::from(endpoint.is_tried()))
            .arg(endpoint.max_in_flight.get())
            .arg(endpoint.timeout_ms);
        call.arg(gap_us).arg(format!("{:016x}", self.random::<u64>()));
        call.arg(self.keys.channel()).arg(&self.origin).arg(shard.to_string()).arg(rules(endpoint.breaker));
        call.arg(endpoint.standing.enabled_at.0);
        let written: u8 = self.link.run(shard, &call, Again::IfNotMade).await.map_err(failed(operation))?;
        match written {
            1 => self.horizons.lower(shard, super::horizon::NOW),
            2 => {
                let source = Some("an endpoint of this name is still being deleted".into());
                return Err(StoreError { operation, fault: StoreFault::Unavailable, source });
            }
            _ => {}
        }
        Ok(written == 1)
    }

    /// Two processes that create one id for tenants of different shards at the same moment both succeed: ids are
    /// looked for in the other shards first, not locked there.
    pub(super) async fn put_endpoint(&self, endpoint: &Endpoint, put: Put) -> Result<bool, StoreError> {
        const OPERATION: &str = "put_endpoint";
        self.open(OPERATION).await?;
        let elsewhere = self.find_endpoint(OPERATION, &endpoint.id).await?;
        if elsewhere.is_some_and(|(_, former)| former.tenant != endpoint.tenant) {
            return Ok(false);
        }
        let written = self.write_endpoint(OPERATION, endpoint, put).await?;
        if written {
            self.registry.changed(&endpoint.tenant, &endpoint.id, Some(endpoint));
        }
        Ok(written)
    }

    /// An endpoint by its id alone, which does not tell its shard.
    pub(super) async fn find_endpoint(
        &self,
        operation: &'static str,
        id: &EndpointId,
    ) -> Result<Option<(Shard, Arc<Endpoint>)>, StoreError> {
        self.open(operation).await?;
        let mut everywhere = Commands::default();
        for shard in Shard::all() {
            let state = self.keys.index(shard, format_args!("ep:{id}"));
            everywhere.add(shard, cmd("HGET").arg(state).arg("json").take());
        }
        let found: Vec<Option<Vec<u8>>> = self.link.query(everywhere).await.map_err(failed(operation))?;
        let found = Shard::all().zip(found).find_map(|(shard, json)| Some((shard, json?)));
        found
            .map(|(shard, json)| self.seal.read(&json).map(|endpoint| (shard, Arc::new(endpoint))))
            .transpose()
            .map_err(unsealed(operation))
    }

    pub(super) async fn delete_endpoint(&self, id: &EndpointId, now: Millis) -> Result<bool, StoreError> {
        const OPERATION: &str = "delete_endpoint";
        let Some((shard, endpoint)) = self.find_endpoint(OPERATION, id).await? else { return Ok(false) };
        let mut deleted = false;
        loop {
            let mut call = scripts::DELETE.prepare_invoke();
            call.key(self.keys.prefix(shard))
                .arg(now.0)
                .arg(id.as_str())
                .arg(format!("{:016x}", self.random::<u64>()));
            call.arg(BURY).arg(self.keys.channel()).arg(&self.origin).arg(shard.to_string());
            let (there, more): (u8, u8) =
                self.link.run(shard, &call, Again::IfNotMade).await.map_err(failed(OPERATION))?;
            deleted |= there == 1;
            if more == 0 {
                break;
            }
        }
        self.registry.changed(&endpoint.tenant, id, None);
        Ok(deleted)
    }

    pub(super) async fn endpoints(
        &self,
        tenant: Option<&Tenant>,
        page: &Page,
    ) -> Result<Listed<Endpoint>, StoreError> {
        const OPERATION: &str = "endpoints";
        self.open(OPERATION).await?;
        let after = page.after::<EndpointId>().map_err(bad_cursor(OPERATION))?;
        let tenants = match tenant {
            Some(tenant) => vec![tenant.clone()],
            None => self.registry.known(),
        };
        let mut all = Vec::new();
        for tenant in &tenants {
            all.extend(self.refresh(OPERATION, tenant).await?.endpoints.iter().map(Arc::clone));
        }
        all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let mut rest =
            all.into_iter().filter(|endpoint| after.as_ref().is_none_or(|after| endpoint.id > *after));
        let data: Vec<Endpoint> =
            rest.by_ref().take(page.limit.into()).map(|endpoint| Endpoint::clone(&endpoint)).collect();
        let more = rest.next().is_some();
        let next_cursor = data.last().filter(|_| more).map(|endpoint| endpoint.id.to_string());
        Ok(Listed { data, next_cursor })
    }
}

/// An endpoint's own rules as the scripts read them; empty when it has none.
fn rules(own: BreakerRules) -> String {
    if own == BreakerRules::default() {
        return String::new();
    }
    let word = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let BreakerRules { failures, failure_percent, min_attempts, open_ms, max_open_ms } = own;
    let numbers =
        [failures.map(Into::into), failure_percent.map(Into::into), min_attempts.map(Into::into), open_ms];
    numbers.into_iter().chain([max_open_ms]).map(word).collect::<Vec<_>>().join(" ")
}
