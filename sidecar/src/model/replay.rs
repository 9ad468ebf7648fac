//! A replay: many deliveries made again, or made at last, in bounded steps that outlive the process.

use serde::{Deserialize, Serialize};

use super::{EndpointId, Glob, ReplayId, Tenant};
use crate::clock::Millis;

/// What a replay is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOf {
    /// Dead letters.
    Dead,
    /// What was delivered.
    Delivered,
    /// Events that an endpoint wants, and has no delivery of: it was made, enabled or widened after they came.
    Unsent,
}

/// Which deliveries or events a replay is of, all of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whose.
    pub tenant: Tenant,
    /// To this endpoint only.
    pub endpoint: Option<EndpointId>,
    /// In this state.
    pub of: ReplayOf,
    /// Of a type that fits any of these; all when empty.
    pub event_types: Vec<Glob>,
    /// Whose event was accepted at this moment or later.
    pub since: Option<Millis>,
    /// Whose event was accepted before this moment.
    pub until: Millis,
    /// So many at most.
    pub limit: u64,
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// At work, or waiting for a process that works at it.
    Running,
    /// All of it is done.
    Done,
    /// Somebody stopped it. What was replayed stays so.
    Cancelled,
}

/// A replay as a store keeps it. It moves in steps, each counted by `version`: a step is done once, by whoever knew the
/// version before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Its name.
    pub id: ReplayId,
    /// What it is of.
    pub wanted: Wanted,
    /// Where it stands.
    pub state: ReplayState,
    /// Deliveries made due so far.
    pub replayed: u64,
    /// Deliveries that fitted and could not be made due: their endpoint is gone, their payload is forgotten, or they are
    /// on their way already.
    pub failed: u64,
    /// Where the listing that it walks goes on.
    pub cursor: Option<String>,
    /// How many steps were kept; 0 for one that never was.
    pub version: u64,
    /// The process that works at it.
    pub runner: Option<String>,
    /// When another process may go on with it.
    pub leased_until: Millis,
    /// When it was asked for.
    pub created_at: Millis,
    /// When it last moved.
    pub updated_at: Millis,
}

impl Replay {
    /// One that has not begun. `until` is no later than `now`: what comes later is no part of it, nor is what it makes.
    #[must_use]
    pub fn new(id: ReplayId, wanted: Wanted, now: Millis) -> Self {
        Self {
            id,
            wanted,
            state: ReplayState::Running,
            replayed: 0,
            failed: 0,
            cursor: None,
            version: 0,
            runner: None,
            leased_until: Millis(0),
            created_at: now,
            updated_at: now,
        }
    }

    /// How many it may still make due.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.wanted.limit.saturating_sub(self.replayed)
    }
}
