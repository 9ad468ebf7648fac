//! The filter's counters: a closed set of names, made once. Envoy never frees one.
//!
//! The ABI has no labels. `_reason=…_=` is cut out of the name and made one by a `stats_tags` rule of the bootstrap.

use hookgate_policy::Reason;

use crate::host::{Host, Level, MetricId};

/// The numbers of our counters; those that the host did not make are not counted.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    accepted: Option<MetricId>,
    refused: Vec<(Reason, MetricId)>,
    hold_without_knob: Option<MetricId>,
}

impl Meters {
    /// Defines every counter. One that the host refuses costs a warning: the door works without.
    pub(crate) fn define(host: &mut impl Host) -> Self {
        let accepted = counter(host, "hookgate_accepted_total");
        let hold_without_knob = counter(host, "hookgate_hold_without_knob_total");
        let refused = Reason::ALL.iter().filter_map(|&reason| {
            let name = format!("hookgate_refused_reason={}_=_total", reason.label());
            counter(host, &name).map(|id| (reason, id))
        });
        Self { accepted, refused: refused.collect(), hold_without_knob }
    }

    /// A message was let in.
    pub(crate) fn accepted(&self, host: &mut impl Host) {
        count(host, self.accepted);
    }

    /// A request was refused.
    pub(crate) fn refused(&self, host: &mut impl Host, reason: Reason) {
        count(host, self.refused.iter().find(|(known, _)| *known == reason).map(|(_, id)| *id));
    }

    /// A stream was held at its headers and the host never showed its body.
    pub(crate) fn hold_without_knob(&self, host: &mut impl Host) {
        count(host, self.hold_without_knob);
    }
}

fn counter(host: &mut impl Host, name: &str) -> Option<MetricId> {
    host.counter(name).inspect_err(|error| host.log(Level::Warn, &format!("no counter {name}: {error}"))).ok()
}

fn count(host: &mut impl Host, metric: Option<MetricId>) {
    let Some(metric) = metric else { return };
    if let Err(error) = host.increment(metric) {
        host.log(Level::Warn, &error.to_string());
    }
}
