//! All that runs during the tour: two subscribers, the sidecar, Envoy with the filter before it.

use std::net::SocketAddr;

use hookgate_e2e::envoy::{self, Ports};
use hookgate_e2e::{Client, Envoy, Receiver, Request, Response, Sidecar, Store, artefacts, sidecar};
use serde_json::{Value, json};

use crate::args::Args;
use crate::secrets::Secrets;
use crate::surprise::Surprise;

/// How many lines of each log a surprise shows.
const LAST_LINES: usize = 8;

/// The parts, all of them stopped when it is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The gateway.
    pub(crate) envoy: Envoy,
    /// Behind it.
    pub(crate) sidecar: Sidecar,
    /// A subscriber that answers at once.
    pub(crate) steady: Subscriber,
    /// One that fails now and then.
    pub(crate) flaky: Subscriber,
    /// What the sources sign with.
    pub(crate) secrets: Secrets,
}

/// A subscriber and what it verifies with.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// Its server.
    pub(crate) receiver: Receiver,
    /// The secret that the sidecar made for its endpoint.
    pub(crate) secret: String,
}

/// A part that would not start.
#[derive(Debug, thiserror::Error)]
#[error("{part} would not start; it said:\n{log}")]
pub(crate) struct NoStart {
    part: &'static str,
    log: String,
}

impl Stage {
    /// Starts everything, in the order in which it is needed.
    ///
    /// # Errors
    /// When Envoy or the sidecar ends instead of listening.
    pub(crate) async fn set(args: &Args) -> Result<Self, NoStart> {
        let secrets = Secrets::generate();
        let sidecar = start_sidecar(args, &secrets).await?;
        let envoy = start_envoy(args, &secrets, sidecar.data()).await?;
        let steady = Subscriber::register(&sidecar, &json!({ "event_types": ["order.paid"] })).await;
        let impatient = json!({
            "event_types": ["order.refunded"],
            "retry": { "max_attempts": 5, "base_ms": 1000, "max_ms": 2000 },
        });
        let flaky = Subscriber::register(&sidecar, &impatient).await;
        Ok(Self { envoy, sidecar, steady, flaky, secrets })
    }

    /// Sends a request through the gateway.
    pub(crate) async fn send(&self, request: &Request) -> Response {
        Client::call(self.envoy.address(), request).await
    }

    /// The deliveries of an accepted event.
    ///
    /// # Errors
    /// When the answer that accepted it names none.
    pub(crate) async fn deliveries(&self, accepted: &Value) -> Result<Vec<Value>, Surprise> {
        let id = accepted.get("id").and_then(Value::as_str);
        let id = id.ok_or_else(|| Surprise::new("a 202 names the event", accepted))?;
        let list = self.sidecar.read(&format!("/v1/deliveries?event_id={id}")).await;
        Ok(list.get("data").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// The last lines that Envoy and the sidecar said.
    pub(crate) fn last_words(&mut self) -> String {
        let tail = |name: &str, log: &str| {
            let lines: Vec<_> = log.lines().rev().take(LAST_LINES).collect();
            let lines: String = lines.iter().rev().map(|line| format!("\n  {line}")).collect();
            format!("{name} said last:{lines}\n")
        };
        let (envoy, sidecar) = (self.envoy.process().log(), self.sidecar.process().log());
        tail("Envoy", &envoy) + &tail("hookgate", &sidecar)
    }

    /// Stops what was started, Envoy first, each by SIGTERM.
    pub(crate) async fn stop(mut self) {
        self.envoy.process().stop().await;
        self.sidecar.process().stop().await;
    }
}

impl Subscriber {
    async fn register(sidecar: &Sidecar, endpoint: &Value) -> Self {
        let receiver = Receiver::start().await;
        let mut endpoint = endpoint.clone();
        if let Value::Object(fields) = &mut endpoint {
            fields.insert("url".to_owned(), receiver.url("/webhooks").into());
        }
        let created = sidecar.create_endpoint(&endpoint).await;
        let secret =
            created.get("secret").and_then(Value::as_str).expect("a new endpoint's secret").to_owned();
        Self { receiver, secret }
    }
}

async fn start_sidecar(args: &Args, secrets: &Secrets) -> Result<Sidecar, NoStart> {
    let path = artefacts::root().join("envoy/policy.json");
    let policy = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let setup = sidecar::Setup::on(Store::Memory).without_key().policy(policy);
    let setup = setup.env("HOOKGATE_DATA_LISTEN", &loopback(args.data_port));
    let setup = setup.env("HOOKGATE_ADMIN_LISTEN", &loopback(args.admin_port));
    let setup = secrets.variables().fold(setup, |setup, (name, secret)| setup.env(name, secret));
    setup.try_start().await.map_err(|refused| NoStart { part: "hookgate", log: refused.log })
}

async fn start_envoy(args: &Args, secrets: &Secrets, upstream: SocketAddr) -> Result<Envoy, NoStart> {
    let ports = Ports { listener: args.envoy_port, admin: args.envoy_admin_port, sidecar: upstream.port() };
    let setup = envoy::Setup::shipped_on(args.bootstrap(), ports);
    let setup = secrets.variables().fold(setup, |setup, (name, secret)| setup.env(name, secret));
    setup.try_start().await.map_err(|refused| NoStart { part: "Envoy", log: refused.log })
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
