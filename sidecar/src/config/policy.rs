//! The policy document that the settings name, or the one that stands for none.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hookgate_policy::{Counters, CountersError, Next, Policy, RequestHead, Shard, UnixMicros};

use super::{Config, ConfigError, Surroundings};
use crate::store::StoreSettings;

/// Reads the policy, resolving `env:NAME` from the environment.
pub(super) fn read(config: &Config, around: &Surroundings<'_>) -> Result<Policy, ConfigError> {
    let (file, json) = match &config.policy {
        Some(path) => (path.display().to_string(), around.text(path, "policy, HOOKGATE_POLICY")?),
        None => ("(no policy file)".to_owned(), without_sources(config.max_payload_bytes)),
    };
    let mut resolve =
        |reference: &str| reference.strip_prefix("env:").and_then(|name| (around.variable)(name));
    Policy::from_json(json.as_bytes(), &mut resolve).map_err(|source| ConfigError::Policy { file, source })
}

fn without_sources(max_body_bytes: u32) -> String {
    format!(
        r#"{{"version":1,"max_body_bytes":{max_body_bytes},"passthrough":["/v1/events","/v1/events/batch"]}}"#
    )
}

/// How long an accepted message could come again and still pass as fresh. One dated ahead by the tolerance is valid
/// for twice as long; a minute more covers clocks that disagree. Sources without timestamps have no such end.
pub(super) fn replay_window(policy: &Policy) -> Duration {
    let widest = policy.sources().iter().map(|source| source.tolerance_s()).max().unwrap_or(0);
    let least = StoreSettings::default().replay_window;
    Duration::from_secs(widest.saturating_mul(2).saturating_add(60)).max(least)
}

/// Whether the policy leaves a path of the event API to the API key.
pub(super) fn lets_the_api_through(policy: &Policy) -> bool {
    [&b"/v1/events"[..], b"/v1/events/batch"].into_iter().any(|target| {
        let client = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let head =
            RequestHead { method: b"POST", target, headers: &[], client, end_of_stream: false, entropy: 0 };
        matches!(policy.begin(&head, UnixMicros::default(), &mut Fresh).next, Next::Pass)
    })
}

/// Counters of a process that has just begun.
struct Fresh;

impl Counters for Fresh {
    fn load(&mut self, _shard: u16) -> Result<Shard, CountersError> {
        Ok(Shard::default())
    }

    fn swap(&mut self, _shard: u16, _bytes: &[u8], _version: u32) -> Result<bool, CountersError> {
        Ok(true)
    }
}
