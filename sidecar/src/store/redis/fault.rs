//! What an error of Redis means for the caller: wait, make room, or call for help.

use std::error::Error;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::super::{BadCursor, StoreError, StoreFault};
use crate::seal::SealError;

/// Names the verb that failed, and judges.
pub(super) fn failed(operation: &'static str) -> impl Fn(RedisError) -> StoreError {
    move |error| StoreError { operation, fault: judge(&error), source: Some(Box::new(error)) }
}

/// A failure that is not an error of Redis: data or settings that cannot be.
pub(super) fn broken<E: Into<Box<dyn Error + Send + Sync>>>(
    operation: &'static str,
) -> impl Fn(E) -> StoreError {
    move |what| StoreError { operation, fault: StoreFault::Broken, source: Some(what.into()) }
}

/// An endpoint that cannot be read or written: for want of a key, which may come, or for good.
pub(super) fn unsealed(operation: &'static str) -> impl Fn(SealError) -> StoreError {
    move |error| {
        let fault = if error.may_pass() { StoreFault::Unavailable } else { StoreFault::Broken };
        StoreError { operation, fault, source: Some(Box::new(error)) }
    }
}

/// No room, by our own limit.
pub(super) const fn full(operation: &'static str) -> StoreError {
    StoreError { operation, fault: StoreFault::Full, source: None }
}

/// A payload that was to be sent again is forgotten.
pub(super) const fn forgotten(operation: &'static str) -> StoreError {
    StoreError { operation, fault: StoreFault::Forgotten, source: None }
}

/// A page after nothing that this store listed.
pub(super) fn bad_cursor(operation: &'static str) -> impl Fn(BadCursor) -> StoreError {
    move |bad| StoreError { operation, fault: StoreFault::BadCursor, source: Some(Box::new(bad)) }
}

/// Whether and how to go on. What is unknown is broken: it must be looked at.
fn judge(error: &RedisError) -> StoreFault {
    match error.code() {
        // MISCONF: Redis cannot write its file, which nearly always is a full disk
        Some("OOM" | "MISCONF") => return StoreFault::Full,
        // SCHEMA: a newer process has moved the data on, and serves it; or nobody has yet
        Some("NOREPLICAS" | "BUSY" | "UNKILLABLE" | "NOSCRIPT" | "SCHEMA") => return StoreFault::Unavailable,
        Some(_) | None => {}
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign, non-exhaustive; unknown means broken")]
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => StoreFault::Unavailable,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        ) => StoreFault::Unavailable,
        _ => StoreFault::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_redis_says_whether_to_try_again() {
        let table = [
            ("-OOM command not allowed when used memory > 'maxmemory'.", StoreFault::Full),
            ("-MISCONF Errors writing to the AOF file: No space left on device", StoreFault::Full),
            ("-LOADING Redis is loading the dataset in memory", StoreFault::Unavailable),
            ("-READONLY You can't write against a read only replica.", StoreFault::Unavailable),
            ("-MASTERDOWN Link with MASTER is down", StoreFault::Unavailable),
            ("-CLUSTERDOWN The cluster is down", StoreFault::Unavailable),
            ("-MOVED 3999 127.0.0.1:6381", StoreFault::Unavailable),
            ("-SCHEMA 3 is what this shard has, 2 what this program knows", StoreFault::Unavailable),
            ("-NOREPLICAS Not enough good replicas to write.", StoreFault::Unavailable),
            ("-WRONGTYPE Operation against a key holding the wrong kind of value", StoreFault::Broken),
            ("-ERR user_script:1: attempt to index a nil value", StoreFault::Broken),
            ("-NOPERM this user has no permissions", StoreFault::Broken),
        ];
        for (line, fault) in table {
            let value = redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap();
            let error = value.extract_error().unwrap_err();
            assert_eq!(judge(&error), fault, "{line}");
        }
        let refused: RedisError = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
        assert_eq!(judge(&refused), StoreFault::Unavailable);
    }
}
