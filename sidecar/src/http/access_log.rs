//! One line a request: who asked what, and what came of it. No query, no body, no header but the user agent.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::USER_AGENT;
use ipnet::IpNet;

use super::client::{Peer, client_ip};
use super::problem::Because;
use super::request_id;
use crate::clock::Stopwatch;

/// What a line needs that the request does not say.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// `data` or `admin`.
    pub listener: &'static str,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[IpNet]>,
}

/// Serves a request and writes its line. Requests that look after us (health, metrics) and went well are told at
/// `debug` only.
pub async fn write(State(log): State<AccessLog>, request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let client = peer.map(|peer| client_ip(peer, request.headers(), &log.trusted_proxies));
    let user_agent = request.headers().get(USER_AGENT).map(|value| bounded(value.as_bytes(), 256));
    let (method, path) = (request.method().clone(), bounded(request.uri().path().as_bytes(), 512));
    let response = next.run(request).await;
    let line = Line {
        listener: log.listener,
        method: method.as_str(),
        path: &path,
        client_ip: client.map(|client| client.to_string()),
        user_agent,
        duration_ms: u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    line.write(&response);
    response
}

struct Line<'a> {
    listener: &'static str,
    method: &'a str,
    path: &'a str,
    client_ip: Option<String>,
    user_agent: Option<String>,
    duration_ms: u64,
}

impl Line<'_> {
    fn write(&self, response: &Response) {
        let status = response.status().as_u16();
        let request_id = response.headers().get(request_id::HEADER).and_then(|id| id.to_str().ok());
        let because = response.extensions().get::<Because>().map(|because| because.0);
        let (client_ip, user_agent) = (self.client_ip.as_deref(), self.user_agent.as_deref());
        let Self { listener, method, path, duration_ms, .. } = *self;
        let quiet = status < 400 && ["/livez", "/readyz", "/healthz", "/metrics"].contains(&path);
        if quiet {
            tracing::debug!(
                listener,
                request_id,
                method,
                path,
                client_ip,
                user_agent,
                status,
                duration_ms,
                "request"
            );
        } else {
            tracing::info!(
                listener,
                request_id,
                method,
                path,
                client_ip,
                user_agent,
                status,
                duration_ms,
                because,
                "request"
            );
        }
    }
}

/// At most `limit` bytes as text.
fn bounded(bytes: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(bytes.get(..limit).unwrap_or(bytes)).into_owned()
}
