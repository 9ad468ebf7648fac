//! How a verb fails, and whether it makes sense to try again.

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// Away, loading, failing over: the same call may succeed later. Whether it was done is not known.
    Unavailable,
    /// No room: memory, disk, or the configured `max_pending`. Nothing was done; what is kept is safe.
    Full,
    /// The payload that was to be sent again is forgotten (`retention_payloads_s`): nothing was done.
    Forgotten,
    /// A bug, a newer schema, or damaged data: trying again does not help.
    Broken,
    /// The caller's cursor is none of this listing's: nothing was read.
    BadCursor,
}

/// A verb that failed: which, on what, why. `Display` leaves the cause to `source()`; the log prints the chain.
#[derive(Debug, thiserror::Error)]
#[error("store: {operation} failed ({fault:?})")]
pub struct StoreError {
    /// The verb, `accept`, `take`, ….
    pub operation: &'static str,
    /// Whether and how to go on.
    pub fault: StoreFault,
    /// What was behind it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
