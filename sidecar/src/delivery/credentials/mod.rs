//! What an attempt is authorised by: a header that is always the same, or a token that many attempts share.
//!
//! A token is fetched by the first attempt that needs it; the others wait for that one request. It is used until
//! shortly before its end, or until the endpoint refuses it. A token server that fails is left alone for a while:
//! attempts fail meanwhile without asking it, and are retried as after any failure.

mod request;
mod state;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use self::tokens::Tokens;
use super::egress::{Egress, SendError};
use crate::clock::Clock;
use crate::model::{Auth, Failure};

/// Makes `authorization` headers.
#[derive(Debug)]
pub(super) struct Credentials(Tokens);

impl Credentials {
    pub(super) fn new(egress: Arc<Egress>, clock: Arc<dyn Clock>) -> Self {
        Self(Tokens::new(egress, clock))
    }

    /// The value for an attempt. `patience`: how long a token may take, should one be needed.
    pub(super) async fn authorization(
        &self,
        auth: &Auth,
        patience: Duration,
    ) -> Result<HeaderValue, SendError> {
        let fixed = match auth {
            Auth::Bearer { token } => sensitive(&format!("Bearer {}", token.0)),
            Auth::Basic { username, password } => sensitive(&basic(username, &password.0)),
            Auth::OAuth2(client) => return self.0.get(client, patience).await,
        };
        let detail = || "the endpoint's authorisation is no header".to_owned();
        fixed.ok_or_else(|| SendError { failure: Failure::Unsendable, detail: detail() })
    }

    /// A newer value in place of one that the endpoint refused; `None` when there is none to be had.
    pub(super) async fn renewed(
        &self,
        auth: &Auth,
        refused: &HeaderValue,
        patience: Duration,
    ) -> Option<HeaderValue> {
        match auth {
            Auth::Bearer { .. } | Auth::Basic { .. } => None,
            Auth::OAuth2(client) => self.0.renewed(client, refused, patience).await,
        }
    }
}

/// A user and a password as HTTP has them (RFC 7617).
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A value that no log of the HTTP client shows.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
