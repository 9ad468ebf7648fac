//! The first step: everything that can be decided from the head.

use crate::{Counters, Policy, Reason, Refusal, RequestHead, UnixMicros, Verifier};

/// What to do with the request's headers before they go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadEdits {
    /// Names to remove, every line of them.
    pub remove: Vec<String>,
    /// Names to set, replacing every line of them.
    pub set: Vec<(&'static str, String)>,
}

/// What a host keeps of a request until its response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The request's id: the client's if it is usable, else a new one.
    pub request_id: String,
    /// The source's name, once known.
    pub source: Option<std::sync::Arc<str>>,
}

/// How a request goes on.
#[derive(Debug)]
pub enum Next {
    /// Not at all.
    Refuse(Refusal),
    /// As it is: a path that the policy lets through for others to judge.
    Pass,
    /// When the body is verified.
    Verify(Box<Verifier>),
}

/// The answer of [`Policy::begin`].
#[derive(Debug)]
pub struct Begin {
    /// For the response.
    pub stamp: Stamp,
    /// For the request.
    pub edits: HeadEdits,
    /// What now.
    pub next: Next,
}

impl Policy {
    /// Judges the head of a request at `now`.
    #[must_use]
    pub fn begin(&self, _head: &RequestHead<'_>, _now: UnixMicros, _counters: &mut impl Counters) -> Begin {
        Begin {
            stamp: Stamp::default(),
            edits: HeadEdits::default(),
            next: Next::Refuse(Refusal::new(Reason::UnknownSource)),
        }
    }
}
