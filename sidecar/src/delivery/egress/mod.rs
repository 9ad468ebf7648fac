//! The only way out: no other part of the sidecar makes outgoing HTTP requests.
//!
//! A URL is parsed once and judged ([`check_url`]). Before **every** attempt, also on a connection that is kept open,
//! its name is resolved (answers are believed for seconds) and every answer judged ([`guard`]). A connection is made to
//! exactly those addresses, and used again only while its address is among them: between check and connect there is
//! no second look-up, so a name that changes its mind (DNS rebinding) gains nothing. A proxy is asked for the checked
//! address ([`proxy`]). Redirects are not followed, proxies of the environment are not used, nothing is decompressed,
//! no cookie is kept.

mod address;
mod check;
mod client;
mod connection;
mod dial;
mod error;
mod guard;
mod identity;
mod names;
mod own;
mod pool;
mod proxy;
mod reach;
mod refusal;
mod resolve;
mod response;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;

pub use address::{AllowList, InvalidAllowList};
pub use check::{CheckedUrl, EgressSettings, check_url};
pub use client::{Egress, EgressError};
pub(super) use error::SendError;
pub use identity::{InvalidIdentity, check_identity};
pub use own::OwnListeners;
pub use proxy::{EgressProxy, InvalidProxy, ProxyUrl};
pub use refusal::EgressRefusal;
pub use resolve::{Resolver, SystemResolver};
pub(super) use response::Response;
