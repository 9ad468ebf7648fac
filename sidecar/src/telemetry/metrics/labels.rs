//! The labels of the metrics, and what keeps their number down.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::model::{EventType, Next, Outcome};

/// What an attempt's result did to its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Ended {
    Delivered,
    Failed,
    Dead,
}

impl Ended {
    pub(super) const fn of(next: Next) -> Self {
        match next {
            Next::Delivered => Self::Delivered,
            Next::RetryAt(_) => Self::Failed,
            Next::Dead(_) => Self::Dead,
        }
    }
}

impl EncodeLabelValue for Ended {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let text = match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dead => "dead",
        };
        EncodeLabelValue::encode(&text, encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Delivery {
    pub(super) status: Ended,
    pub(super) event_type: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EventTypeLabel {
    pub(super) event_type: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Class {
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndpointLabel {
    pub(super) endpoint_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) version: &'static str,
}

/// An outcome's class in one word.
pub(super) const fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered(200..=299) => "2xx",
        Outcome::Answered(300..=399) => "3xx",
        Outcome::Answered(400..=499) => "4xx",
        Outcome::Answered(500..=599) => "5xx",
        Outcome::Answered(_) => "other",
        Outcome::Failed(failure) => failure.label(),
    }
}

/// The event types that have a label of their own: the first hundred that come by. Whoever sends events chooses
/// their types; without this they would choose our memory too.
#[derive(Debug)]
pub(super) struct EventTypes {
    known: RwLock<BTreeSet<Arc<str>>>,
    other: Arc<str>,
}

impl Default for EventTypes {
    fn default() -> Self {
        Self { known: RwLock::default(), other: Arc::from("other") }
    }
}

impl EventTypes {
    const MOST: usize = 100;

    pub(super) fn label(&self, event_type: &EventType) -> Arc<str> {
        let name = event_type.as_str();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        known.unwrap_or_else(|| self.learn(name))
    }

    fn learn(&self, name: &str) -> Arc<str> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::MOST {
            return known.get(name).unwrap_or(&self.other).clone();
        }
        let label: Arc<str> = Arc::from(name);
        known.insert(Arc::clone(&label));
        label
    }
}
