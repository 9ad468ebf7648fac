//! A sidecar in this process, a client that shows exactly what was answered, and a subscriber.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookgate_sidecar::config::{Surroundings, load};
use hookgate_sidecar::serve::{Running, start};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// No wait in a test is longer.
const BOUND: Duration = Duration::from_secs(10);
/// A sound signing secret.
pub(crate) const WHSEC: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
/// The API key of sidecars that have one.
pub(crate) const KEY: &str = "key-of-the-tests";
/// One source, the event API, small limits.
pub(crate) const POLICY: &str = r#"{
    "version": 1,
    "max_body_bytes": 4096,
    "passthrough": ["/v1/events", "/v1/events/batch"],
    "sources": [
        {"name": "acme", "scheme": "standard-webhooks", "secrets": ["env:ACME"], "tenant": "acme"},
        {"name": "form", "scheme": "x-webhook-signature", "secrets": ["env:FORM"], "tenant": "acme",
         "event_type": {"header": "x-topic"}}
    ]
}"#;

/// A running sidecar on the memory store; stopped when dropped.
pub(crate) struct Sidecar {
    pub(crate) data: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Sidecar {
    /// With the test policy, an API key, and leave to deliver to this machine.
    pub(crate) async fn start() -> Self {
        Self::with(&[("HOOKGATE_API_KEY", KEY)], "").await
    }

    /// With these variables over the test policy, and this configuration file.
    pub(crate) async fn with(variables: &[(&str, &str)], file: &str) -> Self {
        Self::under(POLICY, variables, file).await
    }

    /// With another policy.
    pub(crate) async fn under(policy: &str, variables: &[(&str, &str)], file: &str) -> Self {
        let own = [
            ("HOOKGATE_DATA_LISTEN", "127.0.0.1:0"),
            ("HOOKGATE_ADMIN_LISTEN", "127.0.0.1:0"),
            ("HOOKGATE_EGRESS_ALLOW", "127.0.0.0/8"),
            ("HOOKGATE_CONFIG", "hookgate.toml"),
            ("HOOKGATE_POLICY", "policy.json"),
            ("ACME", WHSEC),
            ("FORM", "a secret of this test"),
        ];
        let variables: BTreeMap<_, _> = own.into_iter().chain(variables.iter().copied()).collect();
        let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let read = |path: &Path| Ok(if path.ends_with("policy.json") { policy } else { file }.to_owned());
        let loaded = load(None, &Surroundings { variable: &variable, read: &read }).unwrap();
        let stop = CancellationToken::new();
        let Running { data, admin, .. } = start(loaded, stop.clone()).await.unwrap();
        Self { data, admin, stop }
    }

    /// Asks the data listener.
    pub(crate) fn data(&self, method: Method, path: &str) -> Ask {
        Ask::new(self.data, method, path)
    }

    /// Asks the admin listener, with the key.
    pub(crate) fn admin(&self, method: Method, path: &str) -> Ask {
        Ask::new(self.admin, method, path).key()
    }

    /// Creates an endpoint; answers its id.
    pub(crate) async fn endpoint(&self, json: &Value) -> String {
        let made = self.admin(Method::POST, "/v1/endpoints").json(json).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json["id"].as_str().unwrap().to_owned()
    }
}

/// A request in the making.
pub(crate) struct Ask {
    to: SocketAddr,
    method: Method,
    path: String,
    headers: String,
    body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(to: SocketAddr, method: Method, path: &str) -> Self {
        Self { to, method, path: path.to_owned(), headers: String::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.extend([name, ": ", value, "\r\n"]);
        self
    }

    pub(crate) fn key(self) -> Self {
        self.header("authorization", &format!("Bearer {KEY}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(self, json: &Value) -> Self {
        self.body(json.to_string())
    }

    pub(crate) async fn send(self) -> Answer {
        let Self { to, method, path, headers, body } = self;
        let framing = format!("content-length: {}\r\nconnection: close\r\n", body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\n{headers}{framing}\r\n");
        exchange(to, &[head.as_bytes(), &body].concat()).await
    }
}

/// Sends bytes, reads the answer to the connection's end.
pub(crate) async fn exchange(to: SocketAddr, request: &[u8]) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Answer::parse(&answer)
    };
    tokio::time::timeout(BOUND, exchange).await.unwrap()
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// The body as JSON, else null.
    pub(crate) json: Value,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap())
        };
        let json = serde_json::from_str(body).unwrap_or_default();
        Self { status, headers: lines.map(header).collect(), body: body.to_owned(), json }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// That this is a problem of this status and code, in full form; answers its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> &str {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json["type"], format!("urn:hookgate:problem:{code}"));
        assert_eq!(self.json["status"], status);
        assert_eq!(self.json["request_id"].as_str(), Some(self.header("x-request-id")), "{self:?}");
        assert!(!self.header("x-request-id").is_empty());
        assert!(self.json["title"].is_string());
        self.json["detail"].as_str().unwrap()
    }
}

/// Looks until `look` finds something, for a bounded time.
pub(crate) async fn wait_until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let found = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(BOUND, found).await.unwrap_or_else(|_| panic!("no {what} in {BOUND:?}"))
}

/// What a subscriber got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A subscriber that answers with the statuses it was told, the last for ever, and keeps what it got.
#[derive(Clone)]
pub(crate) struct Subscriber {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Subscriber {
    pub(crate) async fn start(statuses: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=query-canary", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let (kept, statuses) = (Arc::clone(&got), statuses.to_vec());
        let answer = move |headers: HeaderMap, body: bytes::Bytes| async move {
            let mut kept = kept.lock().unwrap();
            let status = statuses.get(kept.len()).or(statuses.last()).copied().unwrap();
            kept.push(Got { headers, body: body.into() });
            http::StatusCode::from_u16(status).unwrap()
        };
        let router = axum::Router::new().fallback(answer);
        spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, got }
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// What it got, once there are `count`.
    pub(crate) async fn received(&self, count: usize) -> Vec<Got> {
        wait_until(&format!("{count} deliveries"), || async {
            Some(self.got()).filter(|got| got.len() >= count)
        })
        .await
    }
}

#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

/// The headers of a message signed now, or so many seconds from now.
pub(crate) fn signed(
    preset: &str,
    secret: &str,
    id: &str,
    from_now_s: i64,
    body: &[u8],
) -> Vec<(String, String)> {
    use hookgate_sidecar::clock::{Clock, SystemClock};
    let scheme = hookgate_policy::Scheme::preset(preset).unwrap();
    let key = scheme.key(secret).unwrap();
    let now = SystemClock.now().seconds().saturating_add_signed(from_now_s);
    scheme.sign(&[key], id, now, body)
}
