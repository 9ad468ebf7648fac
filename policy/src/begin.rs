//! The first step: everything that can be decided from the head.

use std::sync::Arc;

use crate::{
    Counters, CountersError, Policy, RateLimit, RateState, Reason, Refusal, RequestHead, Source, UnixMicros,
    Verifier,
    config::Route,
    headers::facts::Facts,
    limiter::{self, Admission},
    request_id,
    scheme::Timestamp,
    verdict::BodyLength,
};

/// What to do with the request's headers before they go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadEdits {
    /// Names to remove, every line of them.
    pub remove: Vec<String>,
    /// Names to set, replacing every line of them.
    pub set: Vec<(&'static str, String)>,
}

/// What a host keeps of a request until its response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The request's id: the client's if it is usable, else a new one.
    pub request_id: String,
    /// The source's name, once known.
    pub source: Option<Arc<str>>,
    /// Where the client stands with its rate limit, once counted.
    pub rate: Option<RateState>,
}

/// How a request goes on.
#[derive(Debug)]
pub enum Next {
    /// Not at all.
    Refuse(Refusal),
    /// As it is: a path that the policy lets through for others to judge. Of its body only the declared length was
    /// looked at; who judges it counts it.
    Pass,
    /// When the body is verified.
    Verify(Box<Verifier>),
}

/// The answer of [`Policy::begin`].
#[derive(Debug)]
pub struct Begin {
    /// For the response.
    pub stamp: Stamp,
    /// For the request.
    pub edits: HeadEdits,
    /// What now.
    pub next: Next,
}

/// One request, as far as it is known.
#[derive(Debug, Clone, Copy)]
struct Visit<'a> {
    head: &'a RequestHead<'a>,
    facts: &'a Facts<'a>,
    now: UnixMicros,
}

impl Policy {
    /// Judges the head of a request at `now`. In this order, the cheapest first: what two hops could read differently,
    /// path, method, declared size, rate limit, then the form and the age of the signature; nothing is hashed before
    /// all of them passed. What is refused before the rate limit is not counted against it.
    #[must_use]
    pub fn begin(&self, head: &RequestHead<'_>, now: UnixMicros, counters: &mut impl Counters) -> Begin {
        let facts = Facts::gather(head);
        let visit = Visit { head, facts: &facts, now };
        let mut edits = HeadEdits::default();
        edits.remove.extend(facts.remove.iter().map(|name| (*name).to_owned()));
        let mut stamp = Stamp { request_id: self.request_id(visit, &mut edits), ..Stamp::default() };
        let next = self.judge(visit, counters, &mut stamp).unwrap_or_else(Next::Refuse);
        Begin { stamp, edits, next }
    }

    fn request_id(&self, visit: Visit<'_>, edits: &mut HeadEdits) -> String {
        let given = visit.facts.request_id.filter(|_| self.trust_request_id).and_then(request_id::usable);
        if let Some(id) = given {
            return id.to_owned();
        }
        let id = request_id::new(visit.now, visit.head.entropy);
        edits.set.push(("x-request-id", id.clone()));
        id
    }

    fn judge(
        &self,
        visit: Visit<'_>,
        counters: &mut impl Counters,
        stamp: &mut Stamp,
    ) -> Result<Next, Refusal> {
        visit.facts.verdict()?;
        match self.route(visit.head.target).ok_or(Reason::UnknownSource)? {
            Route::Source(source) => {
                stamp.source = Some(source.shared_name());
                let length = visit.expects(source)?;
                visit.admit(&source.shared_name(), source.rate_limit(), counters, stamp)?;
                let verifier = visit.verifier(source, length)?;
                Ok(Next::Verify(Box::new(verifier)))
            }
            Route::Passthrough(name) => {
                visit.length(self.defaults.max_body_bytes)?;
                visit.admit(name, self.defaults.rate_limit, counters, stamp)?;
                Ok(Next::Pass)
            }
        }
    }
}

impl Visit<'_> {
    /// Whether `source` takes this method and this size.
    fn expects(self, source: &Source) -> Result<BodyLength, Reason> {
        if !source.methods().iter().any(|method| method.as_bytes() == self.head.method) {
            return Err(Reason::Method);
        }
        self.length(source.max_body_bytes())
    }

    const fn length(self, limit: u64) -> Result<BodyLength, Reason> {
        BodyLength::new(self.facts.declared, limit, self.head.end_of_stream)
    }

    fn admit(
        self,
        name: &Arc<str>,
        limit: Option<RateLimit>,
        counters: &mut impl Counters,
        stamp: &mut Stamp,
    ) -> Result<(), Refusal> {
        let Some(limit) = limit else { return Ok(()) };
        let admission = limiter::admit(counters, name, limit, self.head.client, self.now);
        let Admission { state, wait_s } =
            admission.map_err(|CountersError| Refusal::after(Reason::Host, 1))?;
        stamp.rate = Some(state);
        wait_s.map_or(Ok(()), |seconds| Err(Refusal::after(Reason::RateLimited, seconds)))
    }

    fn verifier(self, source: &Source, length: BodyLength) -> Result<Verifier, Reason> {
        let fresh = |timestamp: Timestamp| timestamp.judge(source.tolerance_s(), self.now);
        let message = source.scheme().read(self.head.headers, fresh)?;
        Ok(Verifier::new(source, message, length))
    }
}
