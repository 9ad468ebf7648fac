//! What the suites stand on.

mod good;
mod proxy;
mod receiver;
mod running;
mod store;
mod transport;
mod wait;

pub(crate) use good::{TokioClock, event, lease, lease_to, settings};
pub(crate) use proxy::{Manner, Proxy};
pub(crate) use receiver::{Answer, Receiver, http};
pub(crate) use running::Running;
pub(crate) use store::FakeStore;
pub(crate) use transport::FakeTransport;
pub(crate) use wait::wait_until;
