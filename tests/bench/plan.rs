//! What is sent in one run of deliveries.

use std::time::Duration;

use crate::load::Pace;

/// More events than any span sends: the sending ends with its time.
const PLENTY: usize = 4_000_000;
/// Sent before anything is measured: connections are made, caches and allocators are warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// Far longer than it takes: the sending ends with its events.
const NO_HURRY: Duration = Duration::from_secs(120);

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// As the report calls it.
    pub(crate) name: &'static str,
    /// How fast is sent.
    pub(crate) pace: Pace,
    /// How long.
    pub(crate) span: Duration,
    /// How long before anything is measured.
    pub(crate) warm_up: Duration,
    /// How many events at most.
    pub(crate) events: usize,
    /// For how many endpoints each.
    pub(crate) endpoints: usize,
    /// Whether the receiver answers nothing until all is sent. Then what is measured begins with its first answer.
    pub(crate) is_held: bool,
}

impl Plan {
    /// All of them, those with a span for `span`.
    pub(crate) fn all(span: Duration) -> [Self; 4] {
        [Self::steady(span), Self::saturation(span), Self::BACKLOG, Self::FAN_OUT]
    }

    /// As fast as events are accepted.
    pub(crate) const fn saturation(span: Duration) -> Self {
        Self {
            name: "saturation",
            pace: Pace::Saturation,
            span,
            warm_up: WARM_UP,
            events: PLENTY,
            endpoints: 1,
            is_held: false,
        }
    }

    /// Far below what any store carries: latency and the cost of a quiet day.
    const fn steady(span: Duration) -> Self {
        Self { name: "200/s", pace: Pace::PerSecond(200), ..Self::saturation(span) }
    }

    /// What waited for an endpoint that was away. No warm-up: its events would not be delivered either.
    const BACKLOG: Self = Self {
        name: "backlog 15000",
        events: 15_000,
        warm_up: Duration::ZERO,
        is_held: true,
        ..Self::saturation(NO_HURRY)
    };

    /// Every event for a hundred endpoints.
    const FAN_OUT: Self = Self {
        name: "fan-out 1:100",
        events: 500,
        endpoints: 100,
        warm_up: Duration::ZERO,
        ..Self::saturation(NO_HURRY)
    };
}
