//! The steps of the tour. Each shows what it sends and what comes back, and holds its claim against that.

use std::time::{Duration, Instant};

use hookgate_e2e::receiver::Received;
use hookgate_e2e::{Answer, Response};
use serde_json::{Value, json};

use crate::message::{Message, PATH, Producer};
use crate::screen::{Screen, spoken};
use crate::stage::{Stage, Subscriber};
use crate::surprise::{Surprise, claim, claim_problem, claim_status};
use crate::verify::verify;

/// How long a delivery may take, waits between attempts included.
const DELIVERY_BOUND: Duration = Duration::from_secs(20);
/// More requests than the policy's burst lets through.
const FLOOD: usize = 60;
/// Older than the policy's tolerance of five minutes.
const STALE_S: u64 = 600;

/// Who walks through the steps.
#[derive(Debug)]
pub(crate) struct Tour<'a> {
    stage: &'a Stage,
    screen: Screen,
    producer: Producer,
}

impl<'a> Tour<'a> {
    /// On a stage that is set.
    pub(crate) fn new(stage: &'a Stage, screen: Screen) -> Self {
        Self { stage, screen, producer: Producer::new(stage.secrets.demo()) }
    }

    /// All steps in turn.
    ///
    /// # Errors
    /// At the first claim that does not hold.
    pub(crate) async fn walk(&self) -> Result<(), Surprise> {
        let paid = self.producer.event("msg_order_1", "order.paid", &json!({ "order": 1, "total": 4900 }), 0);
        let accepted = self.signed_event_is_delivered(&paid).await?;
        self.same_event_is_accepted_once(&paid, &accepted).await?;
        self.tampered_body_is_refused().await?;
        self.stale_timestamp_is_refused().await?;
        let wait = self.flood_is_limited().await?;
        self.failing_subscriber_gets_it_on_the_third_attempt(wait).await
    }

    async fn signed_event_is_delivered(&self, paid: &Message) -> Result<Value, Surprise> {
        self.screen.step(1, "A signed event is accepted, and delivered signed");
        let sent_at = Instant::now();
        let answer = self.send(paid, &["x-request-id", "x-ratelimit-limit", "x-ratelimit-remaining"]).await;
        claim_status(&answer, 202)?;
        let accepted = answer.json();
        claim("it is new", flag(&accepted), Some(false))?;
        let received = self.stage.steady.receiver.wait_for(1, DELIVERY_BOUND).await;
        let received = received.first().ok_or_else(|| Surprise::new("it is delivered", "nothing"))?;
        claim("the body arrives to the byte", &received.body[..], paid.body.as_bytes())?;
        self.screen.holds(format!("delivered {} after it was sent, with", spoken(received.at - sent_at)));
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature", "x-webhook-signature"] {
            let value =
                received.header(name).ok_or_else(|| Surprise::new(format!("it carries {name}"), "none"))?;
            self.screen.header(name, value);
        }
        self.verifies(received, &self.stage.steady)?;
        self.screen.holds("both signatures verify with the secret of the subscriber's endpoint");
        Ok(accepted)
    }

    async fn same_event_is_accepted_once(&self, paid: &Message, first: &Value) -> Result<(), Surprise> {
        self.screen.step(2, "The same event again is accepted once and delivered once");
        let answer = self.send(paid, &[]).await;
        claim_status(&answer, 202)?;
        let again = answer.json();
        self.screen.text(&again);
        claim("it is known", flag(&again), Some(true))?;
        claim("it is the same event", again.get("id"), first.get("id"))?;
        let deliveries = self.stage.deliveries(&again).await?;
        claim("it has one delivery", deliveries.len(), 1)?;
        claim("the subscriber got it once", self.stage.steady.receiver.count(), 1)?;
        self.screen.holds("one event, one delivery: the producer may repeat itself safely");
        Ok(())
    }

    async fn tampered_body_is_refused(&self) -> Result<(), Surprise> {
        self.screen.step(3, "A tampered body is refused");
        let genuine =
            self.producer.event("msg_order_2", "order.paid", &json!({ "order": 2, "total": 4900 }), 0);
        let answer = self.send(&genuine.tampered("4900", "1"), &["content-type"]).await;
        self.screen.text(answer.text());
        claim_problem(&answer, 401)?;
        claim("the subscriber got nothing of it", self.stage.steady.receiver.count(), 1)?;
        self.filter_refused("bad_signature").await?;
        self.screen
            .holds("total 4900 became 1 after signing: refused by the filter, before the sidecar saw a body");
        Ok(())
    }

    async fn stale_timestamp_is_refused(&self) -> Result<(), Surprise> {
        self.screen.step(4, "A message signed ten minutes ago is refused");
        let stale = self.producer.event("msg_order_3", "order.paid", &json!({ "order": 3 }), STALE_S);
        let answer = self.send(&stale, &["content-type"]).await;
        self.screen.text(answer.text());
        claim_problem(&answer, 401)?;
        claim("the subscriber got nothing of it", self.stage.steady.receiver.count(), 1)?;
        self.filter_refused("timestamp_too_old").await?;
        self.screen.holds("refused at its headers; from outside all signature problems look alike");
        Ok(())
    }

    /// Answers how long the gateway asks to wait.
    async fn flood_is_limited(&self) -> Result<Duration, Surprise> {
        self.screen.step(5, "A flood is limited");
        self.screen.sent(format!("POST {PATH}, up to {FLOOD} events at once"));
        let mut accepted = 0;
        for number in 0..FLOOD {
            let event = self.producer.event(&format!("msg_flood_{number}"), "flood", &json!({}), 0);
            let answer = self.stage.send(&event.request()).await;
            if answer.status == 429 {
                self.screen.text(format!("{accepted} × 202, then"));
                self.filter_refused("rate_limited").await?;
                return self.limited(&answer);
            }
            claim_status(&answer, 202)?;
            accepted += 1;
        }
        Err(Surprise::new("a flood is answered 429", format!("{accepted} × 202")))
    }

    fn limited(&self, answer: &Response) -> Result<Duration, Surprise> {
        let told = ["retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
        let ietf = ["ratelimit-policy", "ratelimit"];
        self.screen.answered(answer, &told);
        ietf.iter()
            .filter_map(|name| Some((name, answer.header(name)?)))
            .for_each(|(name, value)| self.screen.header(name, value));
        claim_problem(answer, 429)?;
        for name in told.iter().chain(&ietf) {
            answer
                .header(name)
                .ok_or_else(|| Surprise::new(format!("a 429 carries {name}"), &answer.headers))?;
        }
        let seconds =
            answer.header("retry-after").and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
        let seconds = seconds
            .ok_or_else(|| Surprise::new("Retry-After is whole seconds", answer.header("retry-after")))?;
        self.screen.holds("refused by the filter with a date to come back");
        Ok(Duration::from_secs(seconds))
    }

    async fn failing_subscriber_gets_it_on_the_third_attempt(&self, wait: Duration) -> Result<(), Surprise> {
        self.screen.step(6, "A subscriber that fails twice gets it on the third attempt");
        self.screen.text(format!("waiting {}, as the 429 asked", spoken(wait)));
        tokio::time::sleep(wait).await;
        let statuses = [503, 500, 200];
        self.stage.flaky.receiver.script(statuses.map(Answer::status));
        let event = self.producer.event("msg_order_4", "order.refunded", &json!({ "order": 1 }), 0);
        let answer = self.send(&event, &[]).await;
        claim_status(&answer, 202)?;
        let attempts = self.watch_attempts(&statuses).await?;
        let ids: Vec<_> = attempts.iter().map(|attempt| attempt.header("webhook-id")).collect();
        claim(
            "every attempt carries the same webhook-id",
            ids.windows(2).all(|two| two.first() == two.last()),
            true,
        )?;
        let delivery = self.settled(&answer.json()).await?;
        claim("the sidecar counts three attempts", delivery.get("attempt_count"), Some(&json!(3)))?;
        claim("no fourth attempt came", self.stage.flaky.receiver.count(), statuses.len())?;
        self.screen.holds("delivered: the same webhook-id each time, and every attempt's signatures verify");
        Ok(())
    }

    /// Shows the attempts as they come, with the waits between them.
    async fn watch_attempts(&self, statuses: &[u16]) -> Result<Vec<Received>, Surprise> {
        let mut before: Option<Instant> = None;
        for (index, status) in statuses.iter().enumerate() {
            let received = self.stage.flaky.receiver.wait_for(index + 1, DELIVERY_BOUND).await;
            let attempt = received.get(index).ok_or_else(|| Surprise::new("an attempt comes", &received))?;
            let waited = before
                .map_or(String::new(), |before| format!(", {} after the last", spoken(attempt.at - before)));
            self.screen.text(format!("attempt {}: the subscriber answers {status}{waited}", index + 1));
            self.verifies(attempt, &self.stage.flaky)?;
            before = Some(attempt.at);
        }
        Ok(self.stage.flaky.receiver.received())
    }

    /// The only delivery of an event, once the sidecar has written down that it succeeded.
    async fn settled(&self, accepted: &Value) -> Result<Value, Surprise> {
        let deadline = Instant::now() + DELIVERY_BOUND;
        loop {
            let deliveries = self.stage.deliveries(accepted).await?;
            match deliveries.as_slice() {
                [delivery] if delivery.get("status") == Some(&json!("delivered")) => {
                    return Ok(delivery.clone());
                }
                [_] if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(10)).await,
                other => return Err(Surprise::new("its one delivery is delivered", other)),
            }
        }
    }

    /// Claims that the outer door has refused one message for this reason: it never came as far as the sidecar.
    async fn filter_refused(&self, reason: &str) -> Result<(), Surprise> {
        let counter = format!("wasmcustom.hookgate_refused_reason={reason}_=_total");
        claim(&format!("the filter counts one {reason}"), self.stage.envoy.stat(&counter).await, 1)
    }

    async fn send(&self, message: &Message, headers: &[&str]) -> Response {
        self.screen.sent(format!("POST {PATH}"));
        message.signature().for_each(|(name, value)| self.screen.header(name, value));
        let answer = self.stage.send(&message.request()).await;
        self.screen.answered(&answer, headers);
        answer
    }

    fn verifies(&self, received: &Received, subscriber: &Subscriber) -> Result<(), Surprise> {
        for scheme in ["standard-webhooks", "x-webhook-signature"] {
            verify(received, scheme, &subscriber.secret)
                .map_err(|why| Surprise { claim: "the subscriber can verify it".to_owned(), seen: why })?;
        }
        Ok(())
    }
}

fn flag(accepted: &Value) -> Option<bool> {
    accepted.get("duplicate").and_then(Value::as_bool)
}
