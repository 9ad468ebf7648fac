//! What went wrong inside, told so that the caller knows whether to try again.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::model::EventId;
use crate::seal::SealError;
use crate::store::{BadCursor, StoreError, StoreFault};

/// Why a verb was not done. Cheap to clone: one failed commit is the answer to many.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Trouble {
    /// SQLite did not do it.
    #[error("SQLite: {0}")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// One more than `max_pending`.
    #[error("{pending} deliveries are pending, of {max_pending} allowed")]
    PendingFull {
        /// How many there are.
        pending: u64,
        /// The setting.
        max_pending: u64,
    },
    /// More than `memory_bytes`.
    #[error("{used} bytes are in use, of {memory_bytes} allowed")]
    MemoryFull {
        /// How many are used, with those that were to be added.
        used: u64,
        /// The setting.
        memory_bytes: u64,
    },
    /// The payload that was to be sent again is forgotten.
    #[error("the payload of {event} is forgotten")]
    Forgotten {
        /// Whose.
        event: EventId,
    },
    /// What is stored is not what this version writes.
    #[error("{what} is not readable: {why}")]
    Unreadable {
        /// Table and column.
        what: &'static str,
        /// What is wrong with it; never the value.
        why: String,
    },
    /// An endpoint cannot be read or written.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The file cannot be used.
    #[error("{path}: {why}")]
    Unusable {
        /// Which file.
        path: String,
        /// In words for the person on call.
        why: &'static str,
        /// Whether that may pass.
        fault: StoreFault,
    },
    /// A page after nothing that this store listed.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
    /// The thread could not be started.
    #[error("no thread for the store: {0}")]
    NoThread(#[source] Arc<std::io::Error>),
    /// The thread that owns the connection has ended.
    #[error("the store's thread has ended")]
    Gone,
}

impl Trouble {
    /// Whether trying again makes sense.
    pub(super) fn fault(&self) -> StoreFault {
        match self {
            Self::Sqlite(error) => fault_of(error),
            Self::PendingFull { .. } | Self::MemoryFull { .. } => StoreFault::Full,
            Self::Unusable { fault, .. } => *fault,
            Self::BadCursor(_) => StoreFault::BadCursor,
            Self::Forgotten { .. } => StoreFault::Forgotten,
            Self::Seal(error) if error.may_pass() => StoreFault::Unavailable,
            Self::Seal(_) | Self::Unreadable { .. } | Self::NoThread(_) | Self::Gone => StoreFault::Broken,
        }
    }

    /// As the seam's error.
    pub(super) fn during(self, operation: &'static str) -> StoreError {
        StoreError { operation, fault: self.fault(), source: Some(Box::new(self)) }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

fn fault_of(error: &rusqlite::Error) -> StoreFault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory) => StoreFault::Full,
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OperationInterrupted,
        ) => StoreFault::Unavailable,
        _ => StoreFault::Broken,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_fault_says_whether_to_try_again() {
        let table = [
            ("a full disk", ffi::SQLITE_FULL, StoreFault::Full),
            ("no memory", ffi::SQLITE_NOMEM, StoreFault::Full),
            ("a lock", ffi::SQLITE_BUSY, StoreFault::Unavailable),
            ("a disk that fails", ffi::SQLITE_IOERR_FSYNC, StoreFault::Unavailable),
            ("a damaged file", ffi::SQLITE_CORRUPT, StoreFault::Broken),
            ("a broken promise", ffi::SQLITE_CONSTRAINT_UNIQUE, StoreFault::Broken),
        ];
        for (what, code, expected) in table {
            let trouble = Trouble::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            assert_eq!(trouble.during("accept").fault, expected, "{what}");
        }
    }
}
