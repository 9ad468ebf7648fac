//! The two listeners. **Data**: events come in, judged by the policy. **Admin**: the API, health and metrics.
//!
//! Both are plain functions over [`axum`] routers; [`listener`] owns the sockets, [`access_log`] writes one line a
//! request, [`Problem`] is the only way to say no.

pub mod access_log;
pub mod admin;
mod auth;
mod body;
mod client;
mod counters;
pub mod data;
mod door;
mod json;
pub mod listener;
mod problem;
mod request_id;
pub(crate) mod time;

use std::sync::Arc;

use ipnet::IpNet;

pub use problem::Problem;

use crate::clock::{Clock, Millis};
use crate::config::ApiKey;
use crate::entropy::Entropy;
use crate::store::Store;

/// What both listeners need.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Entropy,
    /// The key to the API; without one, whoever can connect may use it (the listeners are on loopback then).
    pub api_key: Option<ApiKey>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[IpNet]>,
}

impl Shared {
    fn now(&self) -> Millis {
        self.clock.now()
    }
}
