//! What may be an endpoint, how one is made and changed, and how the declared ones are kept in step.

mod credentials;
mod draft;
mod limits;
mod secrets;
mod switch;
mod sync;

pub use credentials::check_urls;
pub use draft::{Draft, Patch};
pub use limits::{Invalid, check, default_in_flight, default_timeout_ms};
pub use secrets::{Rotation, complete, rotate, signing_with};
pub use switch::{disable, enable, pause};
pub use sync::{Synced, sync};
