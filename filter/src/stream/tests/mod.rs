//! Whole requests against a scripted host: what it was told after every callback, in every framing and mode.

mod edits;
mod framing;
mod kong;
mod limits;
mod response;
mod trouble;

use std::rc::Rc;

use hookgate_policy::{Policy, Scheme};

use super::Action::{Continue, Pause};
use super::{Action, Stream};
use crate::gate::Gate;
use crate::testing::{SECRET, Script, policy, request};

const BODY: &[u8] = b"0123456789";

/// The bytes of a body.
type Body<'a> = &'a [u8];

/// A declared length, as it is written.
type Length = Option<&'static str>;

/// The statuses of the replies, in order.
type Statuses<'a> = &'a [u16];

/// The callbacks of a request.
type Callbacks<'a> = &'a [Callback];

/// One callback of a request.
#[derive(Debug, Clone, Copy)]
enum Callback {
    Headers { end: bool },
    Body { held: usize, end: bool },
    Trailers,
}

const HEAD: Callback = Callback::Headers { end: false };
const ALL_IN_HEAD: Callback = Callback::Headers { end: true };
const TRAILERS: Callback = Callback::Trailers;

const fn held(held: usize) -> Callback {
    Callback::Body { held, end: false }
}

const fn end(held: usize) -> Callback {
    Callback::Body { held, end: true }
}

/// A host with a request for `target` in it, and a stream of a door of that mode.
fn stream(mode: &str, host: &str, target: &str) -> (Script, Stream) {
    let mut script = Script { lines: request(target), ..Script::default() };
    let gate = Gate::configure(&mut script, policy(mode, host).as_bytes()).unwrap();
    (script, Stream::new(Some(Rc::new(gate))))
}

/// Puts a genuine signature of `signed` into the request's headers, and `sent` into its body.
fn sign(host: &mut Script, signed: &[u8], sent: &[u8]) {
    let scheme = Scheme::preset("standard-webhooks").unwrap();
    let key = scheme.key(SECRET).unwrap();
    for (name, value) in scheme.sign(&[key], "msg_1", host.now.seconds(), signed) {
        host.set_line(&name, &value);
    }
    host.body = sent.to_vec();
}

/// Plays callbacks until one is answered by a reply, as a host does.
fn play(host: &mut Script, stream: &mut Stream, callbacks: &[Callback]) -> Vec<Action> {
    let mut answers = Vec::new();
    for callback in callbacks {
        let answer = match *callback {
            Callback::Headers { end } => stream.request_headers(host, end),
            Callback::Body { held, end } => stream.request_body(host, held, end),
            Callback::Trailers => stream.request_trailers(host),
        };
        if matches!(callback, Callback::Headers { .. }) && answer == Continue {
            host.headers_gone = true;
        }
        answers.push(answer);
        if !host.replies.is_empty() {
            break;
        }
    }
    answers
}

fn statuses(host: &Script) -> Vec<u16> {
    host.replies.iter().map(|reply| reply.status).collect()
}
