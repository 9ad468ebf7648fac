//! A clock that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hookgate_sidecar::clock::{Clock, Millis};

/// Stands still until it is set.
#[derive(Debug)]
pub struct Hand(pub AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

impl Hand {
    pub fn at(moment: Millis) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(moment.0)))
    }

    pub fn set(&self, moment: Millis) {
        self.0.store(moment.0, Ordering::SeqCst);
    }
}
