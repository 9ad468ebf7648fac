//! What may be an endpoint, how one is made and changed, and how the declared ones are kept in step.

mod draft;
mod limits;
mod switch;
mod sync;

pub use draft::{Draft, Patch, rotate};
pub use limits::{Invalid, check, default_in_flight, default_timeout_ms};
pub use switch::{disable, enable, pause};
pub use sync::{Synced, sync};
