//! Which deliveries a request means: the query of listings and purges.

use std::num::NonZeroU16;

use serde::Deserialize;

use super::super::Problem;
use super::extract::page;
use crate::http::time::Moment;
use crate::model::{DeadReason, EndpointId, EventId, Glob, Status, Tenant};
use crate::store::{Between, DeliveryFilter, Page};

/// The parameters; all are optional, and all that are there must fit.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Which {
    tenant: Option<Tenant>,
    event_id: Option<EventId>,
    endpoint_id: Option<EndpointId>,
    /// A pattern, as in an endpoint's `event_types`.
    event_type: Option<Glob>,
    status: Option<StatusName>,
    dead_reason: Option<DeadReason>,
    created_since: Option<Moment>,
    created_until: Option<Moment>,
    updated_since: Option<Moment>,
    updated_until: Option<Moment>,
    limit: Option<NonZeroU16>,
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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

impl Which {
    /// The same, of dead letters.
    pub(super) fn dead(self) -> Self {
        Self { status: Some(StatusName::Dead), ..self }
    }

    /// The filter and the page.
    pub(super) fn split(self) -> Result<(DeliveryFilter, Page), Problem> {
        let page = page(self.limit, self.cursor)?;
        let between = |since: Option<Moment>, until: Option<Moment>| Between {
            since: since.map(|moment| moment.0),
            until: until.map(|moment| moment.0),
        };
        let filter = DeliveryFilter {
            tenant: self.tenant,
            event: self.event_id,
            endpoint: self.endpoint_id,
            status: self.status.map(Into::into),
            reason: self.dead_reason,
            event_types: self.event_type.into_iter().collect(),
            created: between(self.created_since, self.created_until),
            updated: between(self.updated_since, self.updated_until),
        };
        Ok((filter, page))
    }
}
