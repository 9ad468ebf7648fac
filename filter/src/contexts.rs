//! Which configuration and which stream a callback is about: the host knows them by number only.
//!
//! Callbacks do not nest, except for the allocation of memory, which comes nowhere near here. A number that is not
//! known, or a callback inside a callback, is answered by a refusal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::gate::{Gate, is_for_kong};
use crate::host::{Host, Level};
use crate::stream::{Action, Stream, refuse_unready};

thread_local! {
    static CONTEXTS: RefCell<Contexts> = const { RefCell::new(Contexts::new()) };
}

#[derive(Debug)]
struct Contexts {
    /// Root contexts: one a plugin configuration. Without a gate when it was not, or not well, configured.
    gates: BTreeMap<u32, Option<Rc<Gate>>>,
    /// A live number is not used again.
    streams: BTreeMap<u32, Stream>,
}

impl Contexts {
    const fn new() -> Self {
        Self { gates: BTreeMap::new(), streams: BTreeMap::new() }
    }
}

fn with<T>(act: impl FnOnce(&mut Contexts) -> T) -> Option<T> {
    CONTEXTS.with(|contexts| Some(act(&mut *contexts.try_borrow_mut().ok()?)))
}

fn on_stream<H: Host>(host: &mut H, context: u32, act: impl FnOnce(&mut Stream, &mut H) -> Action) -> Action {
    let answer = with(|contexts| contexts.streams.get_mut(&context).map(|stream| act(stream, host)));
    answer.flatten().unwrap_or_else(|| refuse_unready(host))
}

/// A new context: a root when it has no parent, else a stream of that root.
pub fn create(context: u32, parent: u32) {
    with(|contexts| {
        if parent == 0 {
            contexts.gates.insert(context, None);
        } else {
            let gate = contexts.gates.get(&parent).cloned().flatten();
            contexts.streams.insert(context, Stream::new(gate));
        }
    });
}

/// The plugin's configuration is here, `len` bytes. `false` makes Envoy refuse to start, or to take the update.
pub fn configure(host: &mut impl Host, context: u32, len: usize) -> bool {
    let (gate, started) = read_gate(host, len);
    with(|contexts| contexts.gates.insert(context, gate.map(Rc::new))).is_some() && started
}

/// The door, if it can be one, and whether the host is to take it.
fn read_gate(host: &mut impl Host, len: usize) -> (Option<Gate>, bool) {
    let document = match host.configuration(len) {
        Ok(document) => document,
        Err(error) => {
            host.log(Level::Error, &format!("no configuration: {error}"));
            return (None, false);
        }
    };
    match Gate::configure(host, &document) {
        Ok(gate) => (Some(gate), true),
        Err(error) => {
            host.log(Level::Error, &format!("policy refused at {error}"));
            (None, is_for_kong(&document))
        }
    }
}

/// See [`Stream::request_headers`].
pub fn request_headers(host: &mut impl Host, context: u32, end_of_stream: bool) -> Action {
    on_stream(host, context, |stream, host| stream.request_headers(host, end_of_stream))
}

/// See [`Stream::request_body`].
pub fn request_body(host: &mut impl Host, context: u32, size: usize, end_of_stream: bool) -> Action {
    on_stream(host, context, |stream, host| stream.request_body(host, size, end_of_stream))
}

/// See [`Stream::request_trailers`].
pub fn request_trailers(host: &mut impl Host, context: u32) -> Action {
    on_stream(host, context, Stream::request_trailers)
}

/// See [`Stream::response_headers`].
pub fn response_headers(host: &mut impl Host, context: u32) -> Action {
    on_stream(host, context, Stream::response_headers)
}

/// A context's last callback but [`delete`]. Roots come here as well, and have nothing to do.
pub fn done(host: &mut impl Host, context: u32) {
    with(|contexts| contexts.streams.get_mut(&context).map(|stream| stream.done(host)));
}

/// The number will not be heard of again.
pub fn delete(context: u32) {
    with(|contexts| (contexts.streams.remove(&context), contexts.gates.remove(&context)));
}

#[cfg(test)]
mod tests {
    use super::{configure, create, delete, done, request_headers, response_headers};
    use crate::host::Host;
    use crate::stream::Action;
    use crate::testing::{Script, policy, request};

    fn configured(document: &str) -> (Script, bool) {
        let configuration = document.as_bytes().to_vec();
        let mut host = Script { configuration, lines: request("/v1/events"), ..Script::default() };
        create(1, 0);
        let started = configure(&mut host, 1, document.len());
        (host, started)
    }

    #[test]
    fn a_stream_is_judged_by_the_configuration_it_began_with() {
        let (mut host, started) = configured(&policy("stream", "envoy"));
        assert!(started);
        create(2, 1);
        host.configuration = Vec::new();
        assert!(!configure(&mut host, 1, 0));
        create(3, 1);
        assert_eq!(request_headers(&mut host, 2, true), Action::Continue);
        assert_eq!(request_headers(&mut host, 3, true), Action::Pause);
    }

    #[test]
    fn a_context_that_is_not_known_is_refused() {
        let mut host = Script::default();
        assert_eq!(request_headers(&mut host, 9, true), Action::Pause);
        assert_eq!(host.replies[0].status, 503);
        assert_eq!(response_headers(&mut host, 9), Action::Pause);
        done(&mut host, 9);
        delete(9);
    }

    #[test]
    fn a_context_that_is_gone_is_refused() {
        let (mut host, _) = configured(&policy("stream", "envoy"));
        create(2, 1);
        delete(2);
        assert_eq!(request_headers(&mut host, 2, true), Action::Pause);
    }

    #[test]
    fn a_bad_policy_stops_envoy_and_makes_kong_refuse() {
        for (kind, starts) in [("envoy", false), ("kong", true)] {
            let document = policy("stream", kind).replace("HOOKGATE_SECRET_DEMO", "NOT_THERE");
            let (mut host, started) = configured(&document);
            assert_eq!(started, starts, "{kind}");
            assert!(host.logged("sources[0].secrets[0]"), "{kind}");
            create(2, 1);
            assert_eq!(request_headers(&mut host, 2, true), Action::Pause, "{kind}");
            assert_eq!(host.replies[0].status, 503, "{kind}");
        }
    }

    #[test]
    fn a_configuration_that_the_host_does_not_give_is_refused() {
        let mut host = Script { broken: Some("configuration"), ..Script::default() };
        create(1, 0);
        assert!(!configure(&mut host, 1, 10));
        host.log(crate::host::Level::Info, "");
        assert!(host.logged("no configuration"));
    }
}
