//! One request, from its headers to its response: the state machine that both modes and both hosts share.
//!
//! A verdict is asked for exactly once, from whichever callback ends the request: headers, body or trailers. Until
//! then the stream is pending, and pending is never treated as accepted.

mod response;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use hookgate_policy::{
    HeadEdits, Host as HostKind, Mode, Next, Reason, Refusal, Stamp, UnixMicros, Verdict, Verifier,
};

use crate::counters::SharedCounters;
use crate::facts::Facts;
use crate::gate::Gate;
use crate::host::{Host, HostError, Level};
use crate::{kong, refusal};

/// How many bytes of a body are copied into the VM at once.
const READ: usize = 64 * 1024;

/// For how long a held stream must have shown no body before it counts as one whose host does not hold.
const HELD_TOO_LONG: UnixMicros = UnixMicros(1_000_000);

/// What the host does next; the numbers are the ABI's, and the only two that hosts agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// What is here goes on.
    Continue = 0,
    /// It stays.
    Pause = 1,
}

/// What was decided of a stream.
#[derive(Debug)]
enum Standing {
    /// Nothing seen of it.
    Fresh,
    /// Its body is being verified.
    Pending(Box<Verifier>),
    /// Genuine.
    Accepted,
    /// On a path that others judge.
    Passed,
    /// Answered by us.
    Refused,
}

/// Why a callback ends in a refusal.
enum Stop {
    /// The policy said so.
    Refused(Refusal),
    /// The host could not do its part.
    Host(HostError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// One request.
#[derive(Debug)]
pub struct Stream {
    /// `None`: nothing is configured, everything is refused.
    gate: Option<Rc<Gate>>,
    standing: Standing,
    stamp: Stamp,
    /// Bytes of the body that the verifier has had.
    seen: usize,
    /// Since when its headers have been held without a sign of its body.
    held_since: Option<UnixMicros>,
}

impl Stream {
    /// A stream of that door.
    #[must_use]
    pub fn new(gate: Option<Rc<Gate>>) -> Self {
        Self { gate, standing: Standing::Fresh, stamp: Stamp::default(), seen: 0, held_since: None }
    }

    /// The request's headers are here; with `end_of_stream` they are all of it.
    pub fn request_headers(&mut self, host: &mut impl Host, end_of_stream: bool) -> Action {
        let Some(gate) = self.gate.clone() else { return self.refuse_bare(host) };
        self.begin(&gate, host, end_of_stream).unwrap_or_else(|stop| self.refuse(&gate, host, &stop))
    }

    /// More of the body is here: `size` bytes in all that the host holds.
    pub fn request_body(&mut self, host: &mut impl Host, size: usize, end_of_stream: bool) -> Action {
        let Some(gate) = self.gate.clone() else { return self.refuse_bare(host) };
        self.held_since = None;
        self.body(&gate, host, size, end_of_stream).unwrap_or_else(|stop| self.refuse(&gate, host, &stop))
    }

    /// The request ends with trailers; the body callbacks before never said that they were the last.
    pub fn request_trailers(&mut self, host: &mut impl Host) -> Action {
        let Some(gate) = self.gate.clone() else { return self.refuse_bare(host) };
        self.held_since = None;
        self.trailers(&gate, host).unwrap_or_else(|stop| self.refuse(&gate, host, &stop))
    }

    /// The stream is over, in whatever way.
    pub fn done(&mut self, host: &mut impl Host) {
        let (Some(gate), Some(since)) = (&self.gate, self.held_since.take()) else { return };
        let Ok(now) = host.now() else { return };
        if now.0.saturating_sub(since.0) < HELD_TOO_LONG.0 {
            return;
        }
        gate.meters.hold_without_knob(host);
        if !gate.warned.replace(true) {
            host.log(
                Level::Warn,
                "a held request never showed its body; mode hold needs allow_on_headers_stop_iteration",
            );
        }
    }

    fn begin(&mut self, gate: &Gate, host: &mut impl Host, end_of_stream: bool) -> Result<Action, Stop> {
        let facts = Facts::read(host)?;
        let end_of_stream = match gate.gateway.host {
            HostKind::Envoy => end_of_stream,
            HostKind::Kong => kong::end_of_stream(&facts).ok_or(Refusal::new(Reason::MalformedLength))?,
        };
        let now = host.now()?;
        let headers = facts.headers();
        let head = facts.head(&headers, end_of_stream);
        let begin = gate.policy.begin(&head, now, &mut SharedCounters(host));
        self.stamp = begin.stamp;
        match begin.next {
            Next::Refuse(refusal) => Err(refusal.into()),
            Next::Pass => {
                edit(gate, host, &begin.edits)?;
                self.standing = Standing::Passed;
                Ok(Action::Continue)
            }
            Next::Verify(verifier) => {
                edit(gate, host, &begin.edits)?;
                let complete = end_of_stream || verifier.body_is_empty();
                self.standing = Standing::Pending(verifier);
                if complete { self.finish(gate, host) } else { Ok(self.await_body(gate, now)) }
            }
        }
    }

    /// In both modes nothing of the body goes on before the verdict; in `hold` the headers do not either. Kong
    /// would hang on a pause at the headers, and shows the body all the same.
    const fn await_body(&mut self, gate: &Gate, now: UnixMicros) -> Action {
        match (gate.gateway.mode, gate.gateway.host) {
            (Mode::Hold, HostKind::Envoy) => {
                self.held_since = Some(now);
                Action::Pause
            }
            (Mode::Stream, _) | (Mode::Hold, HostKind::Kong) => Action::Continue,
        }
    }

    fn body(&mut self, gate: &Gate, host: &mut impl Host, size: usize, end: bool) -> Result<Action, Stop> {
        match &mut self.standing {
            Standing::Pending(verifier) => {
                feed(verifier, host, &mut self.seen, size)?;
                if end { self.finish(gate, host) } else { Ok(Action::Pause) }
            }
            // Accepted at the headers as empty: not a byte may follow.
            Standing::Accepted if size > self.seen => Err(Refusal::new(Reason::IncompleteBody).into()),
            Standing::Accepted | Standing::Passed => Ok(Action::Continue),
            Standing::Fresh => Err(Refusal::new(Reason::Host).into()),
            Standing::Refused => Ok(Action::Pause),
        }
    }

    fn trailers(&mut self, gate: &Gate, host: &mut impl Host) -> Result<Action, Stop> {
        match self.standing {
            Standing::Pending(_) => self.finish(gate, host),
            Standing::Accepted | Standing::Passed => Ok(Action::Continue),
            Standing::Fresh => Err(Refusal::new(Reason::Host).into()),
            Standing::Refused => Ok(Action::Pause),
        }
    }

    /// The one way to a verdict. Afterwards the stream is no longer pending, whatever comes of it.
    fn finish(&mut self, gate: &Gate, host: &mut impl Host) -> Result<Action, Stop> {
        let Standing::Pending(verifier) = std::mem::replace(&mut self.standing, Standing::Refused) else {
            return Err(Refusal::new(Reason::Host).into());
        };
        match verifier.finish(host.now()?) {
            Verdict::Accept(_) => {
                self.standing = Standing::Accepted;
                gate.meters.accepted(host);
                Ok(Action::Continue)
            }
            Verdict::Refuse(refusal) => Err(refusal.into()),
        }
    }

    fn refuse(&mut self, gate: &Gate, host: &mut impl Host, stop: &Stop) -> Action {
        let refusal = match stop {
            Stop::Refused(refusal) => *refusal,
            Stop::Host(error) => {
                host.log(Level::Error, &format!("refused, {error}"));
                Refusal::new(Reason::Host)
            }
        };
        self.standing = Standing::Refused;
        self.held_since = None;
        gate.meters.refused(host, refusal.reason);
        if let Err(error) = host.reply(&refusal::reply(&gate.policy, refusal, &self.stamp)) {
            host.log(Level::Error, &error.to_string());
            return self.refuse_bare(host);
        }
        Action::Pause
    }

    fn refuse_bare(&mut self, host: &mut impl Host) -> Action {
        self.standing = Standing::Refused;
        self.held_since = None;
        refuse_unready(host)
    }
}

/// Refuses the running callback's stream, of which nothing else is known. What cannot be answered stays paused.
pub fn refuse_unready(host: &mut impl Host) -> Action {
    if let Err(error) = host.reply(&refusal::bare()) {
        host.log(Level::Error, &error.to_string());
    }
    Action::Pause
}

/// Reads what is new of a body whose host holds `size` bytes, and verifies it. While a body is paused the host's
/// buffer grows, so that reading all of it at each callback would be quadratic.
fn feed(verifier: &mut Verifier, host: &mut impl Host, seen: &mut usize, size: usize) -> Result<(), Stop> {
    while let Some(left @ 1..) = size.checked_sub(*seen) {
        let chunk = host.request_body(*seen, left.min(READ))?;
        if chunk.is_empty() {
            return Err(HostError { call: "get_buffer_bytes", status: crate::host::status::EMPTY }.into());
        }
        verifier.update(&chunk)?;
        *seen = seen.saturating_add(chunk.len());
    }
    Ok(())
}

/// Applies the policy's edits to the request's headers, while that is possible: before they go on.
fn edit(gate: &Gate, host: &mut impl Host, edits: &HeadEdits) -> Result<(), Stop> {
    if gate.gateway.host == HostKind::Kong && !edits.remove.is_empty() {
        // Kong says that it removed them, and sends them on.
        return Err(Refusal::new(Reason::ReservedHeader).into());
    }
    for name in &edits.remove {
        host.remove_request_header(name)?;
    }
    for (name, value) in &edits.set {
        host.set_request_header(name, value)?;
    }
    Ok(())
}
