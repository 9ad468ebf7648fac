//! The response's headers: dressed when the request was judged, replaced by a refusal when it was not.

use hookgate_policy::{Reason, Refusal};

use super::{Action, Standing, Stop, Stream};
use crate::gate::Gate;
use crate::host::{Host, HostError};

/// What `response.code_details` says of an upstream's own answer.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

impl Stream {
    /// A response is on its way to the client.
    pub fn response_headers(&mut self, host: &mut impl Host) -> Action {
        let Some(gate) = self.gate.clone() else { return self.unjudged(host) };
        self.respond(&gate, host).unwrap_or_else(|stop| self.refuse(&gate, host, &stop))
    }

    fn respond(&mut self, gate: &Gate, host: &mut impl Host) -> Result<Action, Stop> {
        if !self.may_pass(host)? {
            // An upstream that answers before the verdict is not waited for, and not believed.
            return Err(Refusal::new(Reason::Host).into());
        }
        for (name, value) in gate.policy.response_headers(&self.stamp) {
            host.set_response_header(name, &value)?;
        }
        Ok(Action::Continue)
    }

    /// Whether this response may reach the client. One that our side of the gateway made may, whatever was decided:
    /// a timeout, a reset, our own refusal. An upstream's may only once its request was let in.
    fn may_pass(&self, host: &mut impl Host) -> Result<bool, HostError> {
        if matches!(self.standing, Standing::Accepted | Standing::Passed) {
            return Ok(true);
        }
        let details = host.property(&["response", "code_details"])?;
        Ok(match (&self.standing, details) {
            (_, Some(details)) => details != VIA_UPSTREAM,
            // A host without details: our own answer, or one that nobody allowed.
            (standing, None) => matches!(standing, Standing::Refused),
        })
    }

    /// A response while nothing is configured: only our own refusal, which has all it needs, goes on.
    fn unjudged(&mut self, host: &mut impl Host) -> Action {
        if matches!(self.may_pass(host), Ok(true)) { Action::Continue } else { self.refuse_bare(host) }
    }
}
