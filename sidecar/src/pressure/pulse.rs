//! How fast endpoints answer. Pure. Whoever answers slowly has a backlog of its own making.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::EndpointId;

/// An endpoint that takes no longer on average answers promptly.
const PROMPT: Duration = Duration::from_millis(50);
/// Endpoints remembered; beyond it all are forgotten, and known again after their next attempt.
const KNOWN: usize = 4_096;

/// The endpoints that were tried lately.
#[derive(Debug, Default)]
pub(super) struct Pulses(HashMap<EndpointId, Duration>);

impl Pulses {
    /// An attempt took so long.
    pub(super) fn beat(&mut self, endpoint: &EndpointId, took: Duration) {
        if let Some(mean) = self.0.get_mut(endpoint) {
            *mean = blend(*mean, took);
            return;
        }
        if self.0.len() >= KNOWN {
            self.0.clear();
        }
        self.0.insert(endpoint.clone(), took);
    }

    /// Whether it answers promptly; of one never tried nobody knows.
    pub(super) fn is_prompt(&self, endpoint: &EndpointId) -> bool {
        self.0.get(endpoint).is_some_and(|mean| *mean <= PROMPT)
    }
}

/// A mean in which the latest counts for an eighth.
pub(super) fn blend(mean: Duration, latest: Duration) -> Duration {
    (mean.saturating_mul(7).saturating_add(latest)) / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_endpoint_is_prompt_by_its_mean() {
        let endpoint: EndpointId = "a".parse().unwrap();
        let table: [(&str, &[u64], bool); 5] = [
            ("never tried", &[], false),
            ("fast", &[2, 3, 2], true),
            ("slow", &[200], false),
            ("one slow answer makes nobody slow", &[2, 300], true),
            ("many do", &[2, 300, 300], false),
        ];
        for (promise, attempts, prompt) in table {
            let mut pulses = Pulses::default();
            attempts.iter().for_each(|took| pulses.beat(&endpoint, ms(*took)));
            assert_eq!(pulses.is_prompt(&endpoint), prompt, "{promise}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut pulses = Pulses::default();
        for number in 0..3 * KNOWN {
            pulses.beat(&format!("e{number}").parse().unwrap(), ms(1));
        }
        assert!(pulses.0.len() <= KNOWN);
    }
}
