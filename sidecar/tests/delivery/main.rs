//! The delivery room from outside: the pool over a store that a test holds in its hands, attempts over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::allow_attributes,
    reason = "a harness fails loudly"
)]

mod attempts;
mod credentials;
mod egress;
mod embedded;
mod hostile;
mod hostile_h2;
mod kept;
mod pool;
mod proxies;
mod stop;
mod store_away;
mod support;
mod tls;
mod whole;
