//! What a host tells the policy about a request before its body.

use std::net::IpAddr;

/// A moment in unix **microseconds**; the host's clock, which may jump back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UnixMicros(pub u64);

impl UnixMicros {
    /// Whole unix seconds, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// One header line as it came: bytes, in wire order, doubles kept. Names in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// `POST`, as on the wire.
    pub method: &'a [u8],
    /// Path and query, as on the wire: nothing decoded, nothing normalised.
    pub target: &'a [u8],
    /// Every header line. Of pseudo headers only `:authority` is read, and only to see that it is one.
    pub headers: &'a [Header<'a>],
    /// Who sent it, as far as the host trusts to know; `None` shares one rate-limit bucket.
    pub client: Option<IpAddr>,
    /// The host knows that no body follows.
    pub end_of_stream: bool,
    /// 128 random bits, for a request id where the client brought none that can be used.
    pub entropy: u128,
}
