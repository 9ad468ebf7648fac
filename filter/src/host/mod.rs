//! The seam to the gateway: every call the filter makes, as a trait whose answers are values and never panics.

pub mod header;
pub mod pairs;
#[cfg(target_arch = "wasm32")]
pub mod wasm;

use hookgate_policy::UnixMicros;

/// A host call that did not do what was asked. The status is a plain number: hosts send some that no list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("host call {call} answered {status}")]
pub struct HostError {
    /// The call, without its `proxy_` prefix.
    pub call: &'static str,
    /// What it answered, or what would have been the answer.
    pub status: u32,
}

/// Status numbers of the ABI that the filter tells apart.
pub mod status {
    /// Done.
    pub const OK: u32 = 0;
    /// No such thing.
    pub const NOT_FOUND: u32 = 1;
    /// Not now, or not with these arguments.
    pub const BAD_ARGUMENT: u32 = 2;
    /// The answer could not be read.
    pub const PARSE_FAILURE: u32 = 4;
    /// Nothing there.
    pub const EMPTY: u32 = 7;
    /// Somebody else wrote the value in between.
    pub const CAS_MISMATCH: u32 = 8;
}

/// How loud a log line is; the numbers are the ABI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For the operator, once in a while.
    Info = 2,
    /// Somebody should look.
    Warn = 3,
    /// The door does not work.
    Error = 4,
}

/// A response of our own, complete: the host's response callback adds nothing to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// For the access log (`%RESPONSE_CODE_DETAILS%`): `hookgate_` and the reason's label.
    pub details: String,
    /// Every header beyond those the host adds by itself.
    pub headers: Vec<(&'static str, String)>,
    /// The body, problem+json.
    pub body: Vec<u8>,
}

/// The number a host gave a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// One header line as the host gave it.
pub type Line = (Vec<u8>, Vec<u8>);

/// What the filter asks of its gateway. Calls act on the stream whose callback is running.
#[expect(clippy::missing_errors_doc, reason = "every call fails in the same way: the host said no")]
pub trait Host {
    /// The host's clock.
    fn now(&mut self) -> Result<UnixMicros, HostError>;
    /// 128 random bits.
    fn entropy(&mut self) -> Result<u128, HostError>;
    /// The plugin's configuration, of which the host says that it has `len` bytes.
    fn configuration(&mut self, len: usize) -> Result<Vec<u8>, HostError>;
    /// A variable of the VM's environment, as far as the operator let it in.
    fn variable(&mut self, name: &str) -> Option<String>;
    /// Writes a line to the host's log.
    fn log(&mut self, level: Level, line: &str);

    /// Every request header line in wire order; empty when the host no longer has them.
    fn request_headers(&mut self) -> Result<Vec<Line>, HostError>;
    /// Replaces every line of a request header by one. Possible until the headers went on.
    fn set_request_header(&mut self, name: &str, value: &str) -> Result<(), HostError>;
    /// Removes every line of a request header.
    fn remove_request_header(&mut self, name: &str) -> Result<(), HostError>;
    /// Bytes `start..start + max` of the request body that the host holds, fewer if it holds fewer.
    fn request_body(&mut self, start: usize, max: usize) -> Result<Vec<u8>, HostError>;
    /// Replaces every line of a response header by one. Possible in the response phase only.
    fn set_response_header(&mut self, name: &str, value: &str) -> Result<(), HostError>;
    /// A property of the stream; `None` when the host does not know it.
    fn property(&mut self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError>;
    /// Answers the client and ends the stream, once the running callback has returned.
    fn reply(&mut self, reply: &Reply) -> Result<(), HostError>;

    /// A value of the shared data and its version; `None` when there is no such key.
    fn shared(&mut self, key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError>;
    /// Writes a shared value if its version is still `version`; `false` when it is not. Where the key is missing,
    /// hosts differ: Envoy writes whatever the version is, Kong wants 0.
    fn swap_shared(&mut self, key: &str, value: &[u8], version: u32) -> Result<bool, HostError>;

    /// The counter of that name, made if it is new.
    fn counter(&mut self, name: &str) -> Result<MetricId, HostError>;
    /// Counts one.
    fn increment(&mut self, metric: MetricId) -> Result<(), HostError>;
}
