//! The harness of the end-to-end suites: real parts on free ports, and waits that say what they saw.
//!
//! Everything here fails loudly: a part that does not start, a wait that ends without what was awaited, an answer
//! that is not HTTP. Whatever a test starts is stopped when its value is dropped, also when the test process dies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a harness fails loudly, reads the clock and starts what it needs"
)]

pub mod artefacts;
pub mod bootstrap;
pub mod child;
pub mod client;
pub mod decoder;
pub mod envoy;
pub mod faults;
pub mod h2_client;
mod leash;
pub mod ports;
pub mod prometheus;
pub mod receiver;
pub mod redis;
pub mod sidecar;
pub mod signing;
pub mod stack;
pub mod tcp;
pub mod upstream;
mod wait;
pub mod wire;

pub use child::Child;
pub use client::{Client, Framing, Request};
pub use envoy::Envoy;
pub use faults::{Fault, Proxy};
pub use receiver::{Answer, Receiver};
pub use redis::{Cluster, Redis, Sentinel, TlsRedis};
pub use sidecar::{Sidecar, Store};
pub use tcp::TcpServer;
pub use upstream::Upstream;
pub use wait::wait_until;
pub use wire::Response;
