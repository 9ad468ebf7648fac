//! One HTTP try: checked, signed and sent under one deadline, and what came of it.

mod answer;
mod ed25519;
mod headers;
mod sign;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use ed25519::Ed25519Key;
pub(super) use headers::AGENT;
pub use headers::is_reserved_header;
pub use sign::UnknownScheme;

use self::answer::Answer;
use self::sign::{Message, Signer};
use super::credentials::Credentials;
use super::egress::{CheckedUrl, Egress, Response, SendError};
use super::retry::{Reply, retry_after};
use crate::clock::{Clock, Millis, Stopwatch};
use crate::model::{Attempt, Failure, Outcome};
use crate::store::Lease;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When it began.
    pub started_at: Millis,
    /// How long it took.
    pub duration: Duration,
    /// What it brought back.
    pub reply: Reply,
    /// The beginning of the answer's body, lossy UTF-8, at most 1 KiB.
    pub response: String,
    /// The endpoint's host, for the log; empty when its URL was refused.
    pub host: String,
    /// Why it failed, for the operator's log only: it may tell about the inner network. No secret, no URL.
    pub detail: Option<String>,
}

impl Sent {
    /// The record for the ledger.
    #[must_use]
    pub fn record(self, number: u32) -> Attempt {
        Attempt {
            number,
            started_at: self.started_at,
            duration_ms: u32::try_from(self.duration.as_millis()).unwrap_or(u32::MAX),
            outcome: self.reply.outcome,
            response: self.response,
        }
    }
}

/// How an attempt is made. The pool knows no more of HTTP than this.
#[async_trait]
pub trait Transport: Debug + Send + Sync {
    /// Makes the attempt that a lease gives the right to. Never takes much longer than the endpoint's timeout.
    /// Dropping the future gives the attempt up.
    async fn send(&self, lease: &Lease) -> Sent;
}

/// Attempts over HTTP, through the guarded way out.
#[derive(Debug)]
pub struct HttpTransport {
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
    signer: Signer,
    credentials: Credentials,
}

impl HttpTransport {
    /// Over this way out; timestamps of signatures come from `clock`.
    ///
    /// # Errors
    /// When the policy does not know a scheme that deliveries are signed with.
    pub fn new(egress: Arc<Egress>, clock: Arc<dyn Clock>) -> Result<Self, UnknownScheme> {
        let credentials = Credentials::new(Arc::clone(&egress), Arc::clone(&clock));
        Ok(Self { egress, clock, signer: Signer::new()?, credentials })
    }

    fn prepare(&self, lease: &Lease, now: Millis) -> Result<(CheckedUrl, HeaderMap), SendError> {
        let to = self.egress.check(&lease.endpoint.url).map_err(|refusal| SendError {
            failure: Failure::Egress,
            detail: format!("the URL was refused: {}", refusal.label()),
        })?;
        let unsendable = |detail| SendError { failure: Failure::Unsendable, detail };
        let id = lease.event.id.to_string();
        let message = Message { id: &id, now, body: &lease.event.payload };
        let signed =
            self.signer.sign(&lease.endpoint, message).map_err(|error| unsendable(error.to_string()))?;
        let headers = headers::of(lease, &signed).map_err(|error| unsendable(error.to_string()))?;
        Ok((to, headers))
    }

    /// Sends and reads. A status counts from the moment it arrived, even if the deadline cuts the body off.
    async fn exchange(
        &self,
        lease: &Lease,
        to: &CheckedUrl,
        headers: HeaderMap,
    ) -> Result<Answer, SendError> {
        let mut answer = None;
        let exchange = async {
            let (response, head) = self.authorised(lease, to, headers, &mut answer).await?;
            head.read(response).await;
            Ok(())
        };
        let ended = tokio::time::timeout(deadline(lease), exchange).await;
        match (answer, ended) {
            (Some(answer), _) => Ok(answer),
            (None, Ok(Err(error))) => Err(error),
            (None, Ok(Ok(())) | Err(_)) => Err(SendError {
                failure: Failure::Timeout,
                detail: "the endpoint's timeout passed".to_owned(),
            }),
        }
    }
}

impl HttpTransport {
    /// Longest wait for a token, so that what is left of the deadline is for the endpoint.
    const LONGEST_WAIT: Duration = Duration::from_secs(10);

    /// Posts with what the endpoint lets attempts in by. A token that it refuses is renewed, and the request made once
    /// more. Every answer's head goes to `answer` as it arrives.
    async fn authorised<'a>(
        &self,
        lease: &Lease,
        to: &CheckedUrl,
        mut headers: HeaderMap,
        answer: &'a mut Option<Answer>,
    ) -> Result<(Response, &'a mut Answer), SendError> {
        let Some(auth) = &lease.endpoint.auth else {
            let response = self.post(lease, to, headers).await?;
            let head = answer.insert(Answer::of(&response));
            return Ok((response, head));
        };
        let patience = Self::LONGEST_WAIT.min(deadline(lease) / 2);
        let value = self.credentials.authorization(auth, patience).await?;
        headers.insert(AUTHORIZATION, value.clone());
        let mut response = self.post(lease, to, headers.clone()).await?;
        let refused = answer.insert(Answer::of(&response)).status == 401;
        if refused && let Some(newer) = self.credentials.renewed(auth, &value, patience).await {
            headers.insert(AUTHORIZATION, newer);
            response = self.post(lease, to, headers).await?;
        }
        let head = answer.insert(Answer::of(&response));
        Ok((response, head))
    }

    async fn post(&self, lease: &Lease, to: &CheckedUrl, headers: HeaderMap) -> Result<Response, SendError> {
        let identity = lease.endpoint.client_certificate.as_ref();
        self.egress.post(identity, to, headers, lease.event.payload.clone()).await
    }
}

/// How long an attempt may take, from its first look-up to the last byte of its answer.
fn deadline(lease: &Lease) -> Duration {
    Duration::from_millis(lease.endpoint.timeout_ms.into())
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, lease: &Lease) -> Sent {
        let (started_at, watch) = (self.clock.now(), Stopwatch::start());
        let (host, result) = match self.prepare(lease, started_at) {
            Ok((to, headers)) => (to.host().to_owned(), self.exchange(lease, &to, headers).await),
            Err(error) => (String::new(), Err(error)),
        };
        let duration = watch.elapsed();
        match result {
            Ok(answer) => {
                let retry_after =
                    answer.retry_after.as_deref().and_then(|value| retry_after(value, self.clock.now()));
                let reply = Reply { outcome: Outcome::Answered(answer.status), retry_after };
                Sent { started_at, duration, reply, response: answer.text(), host, detail: None }
            }
            Err(SendError { failure, detail }) => {
                let reply = Reply { outcome: Outcome::Failed(failure), retry_after: None };
                Sent { started_at, duration, reply, response: String::new(), host, detail: Some(detail) }
            }
        }
    }
}
