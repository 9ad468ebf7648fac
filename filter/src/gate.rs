//! One configuration of the filter, as a root context keeps it and its streams share it.

use std::cell::Cell;

use hookgate_policy::{Gateway, Host as HostKind, Policy, PolicyError};
use serde::Deserialize;

use crate::counters;
use crate::host::Host;
use crate::meters::Meters;

/// A configured door.
#[derive(Debug)]
pub struct Gate {
    pub(crate) policy: Policy,
    pub(crate) gateway: Gateway,
    pub(crate) meters: Meters,
    /// The operator was told that the host does not hold.
    pub(crate) warned: Cell<bool>,
}

impl Gate {
    /// Reads the policy document that is the plugin's configuration, and makes what its requests will need of the
    /// host. Reads no clock and no shared state that could change the answer: it runs in every worker, and a host
    /// whose workers disagree is left with a broken plugin.
    ///
    /// # Errors
    /// The field that is wrong and why, never a secret.
    pub fn configure(host: &mut impl Host, document: &[u8]) -> Result<Self, PolicyError> {
        if document.iter().all(u8::is_ascii_whitespace) {
            return Err(whole(
                "the plugin's configuration is empty; it must be the policy, in JSON".to_owned(),
            ));
        }
        let policy = Policy::from_json(document, &mut |reference| secret(host, reference))?;
        let gateway = policy.gateway();
        counters::create(host, absent_version(gateway.host))
            .map_err(|error| whole(format!("the host keeps no shared data for the rate limit: {error}")))?;
        Ok(Self { policy, gateway, meters: Meters::define(host), warned: Cell::new(false) })
    }
}

/// Whether the document is meant for Kong, even if nothing else in it can be read. Kong serves without a filter
/// that did not start, so there a broken door must start and refuse.
#[must_use]
pub fn is_for_kong(document: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Document {
        gateway: Gateway,
    }
    #[derive(Deserialize)]
    struct Gateway {
        host: String,
    }
    serde_json::from_slice::<Document>(document).is_ok_and(|document| document.gateway.host == "kong")
}

/// The text behind `env:NAME`.
fn secret(host: &mut impl Host, reference: &str) -> Option<String> {
    host.variable(reference.strip_prefix("env:")?)
}

/// The version under which a missing key of the shared data is created and an existing one is left alone.
const fn absent_version(host: HostKind) -> u32 {
    match host {
        HostKind::Envoy => u32::MAX,
        HostKind::Kong => 0,
    }
}

fn whole(problem: String) -> PolicyError {
    PolicyError { path: ".".to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use hookgate_policy::PolicyError;

    use super::{Gate, is_for_kong};
    use crate::testing::{SECRET, Script, policy};

    fn refused(host: &mut Script, document: &str) -> PolicyError {
        Gate::configure(host, document.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_empty_configuration_is_refused() {
        for empty in ["", " \n"] {
            assert!(refused(&mut Script::default(), empty).problem.contains("empty"));
        }
    }

    #[test]
    fn a_secret_that_is_not_in_the_environment_is_refused_where_it_is_asked_for() {
        let mut host = Script::default();
        host.variables.clear();
        assert_eq!(refused(&mut host, &policy("stream", "envoy")).path, "sources[0].secrets[0]");
    }

    #[test]
    fn a_secret_that_cannot_be_one_is_not_shown() {
        let mut host = Script::default();
        host.variables.insert("HOOKGATE_SECRET_DEMO".to_owned(), format!("{SECRET}\n"));
        let error = refused(&mut host, &policy("stream", "envoy"));
        assert_eq!(error.path, "sources[0].secrets[0]");
        assert!(!error.to_string().contains(SECRET));
    }

    #[test]
    fn a_host_without_shared_data_is_refused() {
        let mut host = Script { broken: Some("shared"), ..Script::default() };
        assert!(refused(&mut host, &policy("stream", "envoy")).problem.contains("shared data"));
    }

    #[test]
    fn a_host_without_metrics_is_served_and_warned() {
        let mut host = Script { broken: Some("counter"), ..Script::default() };
        Gate::configure(&mut host, policy("stream", "envoy").as_bytes()).unwrap();
        assert!(host.logged("hookgate_accepted_total"));
    }

    #[test]
    fn kong_is_known_even_in_a_policy_that_is_none() {
        let table = [
            ("a good policy", policy("stream", "kong"), true),
            ("no sources", r#"{"gateway":{"host":"kong"}}"#.to_owned(), true),
            ("another host", policy("stream", "envoy"), false),
            ("no host", "{}".to_owned(), false),
            ("no JSON", "gateway: kong".to_owned(), false),
        ];
        for (promise, document, expected) in table {
            assert_eq!(is_for_kong(document.as_bytes()), expected, "{promise}");
        }
    }
}
