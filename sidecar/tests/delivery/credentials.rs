//! What attempts are let in by, before a real token server and an endpoint that looks at the token.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::join_all;
use hookgate_sidecar::clock::{Clock, Millis};
use hookgate_sidecar::delivery::attempt::{HttpTransport, Sent, Transport};
use hookgate_sidecar::delivery::egress::{Egress, EgressSettings};
use hookgate_sidecar::model::{Auth, Failure, Outcome};
use hookgate_sidecar::store::Lease;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{TokioClock, lease_to};

/// A clock that a test moves.
#[derive(Debug)]
struct HandClock(AtomicU64);

impl HandClock {
    fn start() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(TokioClock::START.0)))
    }

    fn forward(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(SeqCst))
    }
}

/// What the token server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Give,
    Fail,
    Hang,
}

#[derive(Debug)]
struct Seen {
    mood: Mutex<Mood>,
    /// What every request for a token said: `authorization` and the form.
    asked: Mutex<Vec<(String, String)>>,
    /// The `authorization` of every attempt.
    came: Mutex<Vec<String>>,
    /// The endpoint takes tokens from this one on.
    from: AtomicUsize,
}

/// A token server that numbers its tokens, and an endpoint that takes the newer ones. It ends with this value.
struct Subscriber {
    address: SocketAddr,
    seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

async fn token(State(seen): State<Arc<Seen>>, headers: HeaderMap, form: String) -> Response {
    let number = {
        let mut asked = seen.asked.lock().unwrap();
        asked.push((text(&headers), form));
        asked.len()
    };
    let mood = *seen.mood.lock().unwrap();
    match mood {
        Mood::Give => {
            let token = format!("token-{number}");
            Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": 600})).into_response()
        }
        Mood::Fail => (StatusCode::UNAUTHORIZED, "client-secret-canary").into_response(),
        Mood::Hang => std::future::pending().await,
    }
}

async fn hook(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> StatusCode {
    let came = text(&headers);
    seen.came.lock().unwrap().push(came.clone());
    let number = came.strip_prefix("Bearer token-").and_then(|number| number.parse().ok());
    let good = number.is_some_and(|number: usize| number >= seen.from.load(SeqCst));
    if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

fn text(headers: &HeaderMap) -> String {
    headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

impl Subscriber {
    async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            mood: Mutex::new(mood),
            asked: Mutex::default(),
            came: Mutex::default(),
            from: AtomicUsize::new(1),
        });
        let routes = Router::new().route("/token", post(token)).route("/hook", post(hook));
        let router = routes.with_state(Arc::clone(&seen));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, _serving: serving }
    }

    /// A lease to its endpoint, through its token server.
    fn lease(&self) -> Lease {
        self.lease_with(&json!({"type": "oauth2", "token_url": format!("http://{}/token", self.address),
            "client_id": "us", "client_secret": "client-secret-canary", "scopes": ["hooks"]}))
    }

    fn lease_with(&self, auth: &Value) -> Lease {
        let mut lease = lease_to(&format!("http://{}/hook", self.address));
        let auth: Auth = serde_json::from_value(auth.clone()).unwrap();
        Arc::make_mut(&mut lease.endpoint).auth = Some(auth);
        lease
    }

    fn feel(&self, mood: Mood) {
        *self.seen.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> usize {
        self.seen.asked.lock().unwrap().len()
    }

    fn came(&self) -> usize {
        self.seen.came.lock().unwrap().len()
    }
}

fn transport(clock: &Arc<HandClock>) -> HttpTransport {
    let settings = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    HttpTransport::new(Arc::new(Egress::new(settings, []).unwrap()), clock).unwrap()
}

async fn many(transport: &HttpTransport, lease: &Lease) -> Vec<Outcome> {
    let sent = join_all((0..30).map(|_| transport.send(lease))).await;
    sent.into_iter().map(|sent| sent.reply.outcome).collect()
}

#[tokio::test]
async fn many_attempts_wait_for_one_token_and_share_it_until_shortly_before_its_end() {
    let (subscriber, clock) = (Subscriber::start(Mood::Give).await, HandClock::start());
    let (transport, lease) = (transport(&clock), subscriber.lease());
    for (after_s, asked) in [(0, 1), (539, 1), (1, 2)] {
        clock.forward(Duration::from_secs(after_s));
        assert_eq!(many(&transport, &lease).await, [Outcome::Answered(200); 30], "{after_s}");
        assert_eq!(subscriber.asked(), asked, "{after_s}");
    }
    // base64 of `us:client-secret-canary`
    let basic = "Basic dXM6Y2xpZW50LXNlY3JldC1jYW5hcnk=".to_owned();
    let form = "grant_type=client_credentials&scope=hooks".to_owned();
    assert_eq!(subscriber.seen.asked.lock().unwrap()[0], (basic, form));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_and_its_attempts_go_through() {
    let (subscriber, clock) = (Subscriber::start(Mood::Give).await, HandClock::start());
    let (transport, lease) = (transport(&clock), subscriber.lease());
    assert_eq!(transport.send(&lease).await.reply.outcome, Outcome::Answered(200));
    subscriber.seen.from.store(2, SeqCst);
    clock.forward(Duration::from_secs(10));
    assert_eq!(many(&transport, &lease).await, [Outcome::Answered(200); 30]);
    assert_eq!(subscriber.asked(), 2);
}

#[tokio::test]
async fn an_endpoint_that_refuses_every_token_costs_no_more_than_one_renewal() {
    let (subscriber, clock) = (Subscriber::start(Mood::Give).await, HandClock::start());
    let (transport, lease) = (transport(&clock), subscriber.lease());
    subscriber.seen.from.store(usize::MAX, SeqCst);
    assert_eq!(many(&transport, &lease).await, [Outcome::Answered(401); 30]);
    assert_eq!((subscriber.asked(), subscriber.came()), (1, 30), "a new token is not renewed");
    clock.forward(Duration::from_secs(10));
    assert_eq!(transport.send(&lease).await.reply.outcome, Outcome::Answered(401));
    assert_eq!((subscriber.asked(), subscriber.came()), (2, 32), "an old one is, once an attempt");
}

#[tokio::test]
async fn a_token_server_that_fails_is_a_failed_attempt_and_is_left_alone_for_a_while() {
    let (subscriber, clock) = (Subscriber::start(Mood::Fail).await, HandClock::start());
    let (transport, lease) = (transport(&clock), subscriber.lease());
    let failed = Outcome::Failed(Failure::Credentials);
    for (after_ms, asked) in [(0, 1), (999, 1), (1, 2), (1_999, 2)] {
        clock.forward(Duration::from_millis(after_ms));
        assert_eq!(many(&transport, &lease).await, [failed; 30], "{after_ms}");
        assert_eq!(subscriber.asked(), asked, "{after_ms}");
    }
    let Sent { detail, host, .. } = transport.send(&lease).await;
    assert_eq!(detail.as_deref(), Some("no token: its server answered 401"), "nothing that it wrote");
    assert_eq!((host.as_str(), subscriber.came()), ("127.0.0.1", 0), "nothing is sent without");
    subscriber.feel(Mood::Give);
    clock.forward(Duration::from_millis(1));
    assert_eq!(many(&transport, &lease).await, [Outcome::Answered(200); 30]);
}

#[tokio::test]
async fn a_token_server_that_hangs_takes_half_of_the_deadline() {
    let (subscriber, clock) = (Subscriber::start(Mood::Hang).await, HandClock::start());
    let (transport, mut lease) = (transport(&clock), subscriber.lease());
    Arc::make_mut(&mut lease.endpoint).timeout_ms = 400;
    let sent = transport.send(&lease).await;
    assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Credentials), "{sent:?}");
    assert!((200..400).contains(&sent.duration.as_millis()), "{:?}", sent.duration);
    assert_eq!((subscriber.asked(), subscriber.came()), (1, 0));
}

#[tokio::test]
async fn a_waiting_attempt_that_is_cut_off_does_not_take_the_others_with_it() {
    let (subscriber, clock) = (Subscriber::start(Mood::Hang).await, HandClock::start());
    let (transport, lease) = (Arc::new(transport(&clock)), subscriber.lease());
    let mut first = JoinSet::new();
    let (sending, to) = (Arc::clone(&transport), lease.clone());
    first.spawn(async move { sending.send(&to).await });
    let asked = || if subscriber.asked() == 1 { Ok(()) } else { Err(subscriber.asked()) };
    crate::support::wait_until("the first request for a token", asked).await;
    subscriber.feel(Mood::Give);
    let second = transport.send(&lease);
    first.abort_all();
    assert_eq!(second.await.reply.outcome, Outcome::Answered(200));
}

#[tokio::test]
async fn the_guard_is_asked_for_the_token_server_too() {
    let (subscriber, clock) = (Subscriber::start(Mood::Give).await, HandClock::start());
    let lease = subscriber.lease_with(&json!({"type": "oauth2", "token_url": "http://10.0.0.1/token",
        "client_id": "us", "client_secret": "s"}));
    let sent = transport(&clock).send(&lease).await;
    assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Credentials));
    assert_eq!(sent.detail.as_deref(), Some("no token: the token URL was refused: address"));
    assert_eq!(subscriber.came(), 0);
}

#[tokio::test]
async fn fixed_authorisations_go_into_their_header() {
    let (subscriber, clock) = (Subscriber::start(Mood::Give).await, HandClock::start());
    let transport = transport(&clock);
    for (auth, expected) in [
        (json!({"type": "bearer", "token": "token-7"}), "Bearer token-7"),
        // base64 of `Aladdin:open sesame`, the example of RFC 7617
        (
            json!({"type": "basic", "username": "Aladdin", "password": "open sesame"}),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
    ] {
        transport.send(&subscriber.lease_with(&auth)).await;
        assert_eq!(subscriber.seen.came.lock().unwrap().last().unwrap(), expected);
    }
    assert_eq!((subscriber.asked(), subscriber.came()), (0, 2), "no token, and a refusal is an answer");
}
