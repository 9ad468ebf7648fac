//! The only way out: no other part of the sidecar makes outgoing HTTP requests.
//!
//! A URL is parsed once and judged ([`check_url`]); a literal address is judged with it; a name is resolved once per
//! connection and **every** answer judged; the connection goes to exactly those addresses. Between check and connect
//! there is no second look-up, so a name that changes its mind (DNS rebinding) gains nothing. Redirects are not
//! followed, proxies of the environment are not used, nothing is decompressed, no cookie is kept.

mod address;
mod check;
mod client;
mod own;
mod refusal;
mod resolve;

pub use address::{AllowList, InvalidAllowList};
pub use check::{CheckedUrl, EgressSettings, check_url};
pub(super) use client::SendError;
pub use client::{Egress, EgressError};
pub use own::OwnListeners;
pub use refusal::EgressRefusal;
pub use resolve::{Resolver, SystemResolver};
