//! An answer as it comes in. Read to its end, its connection is used again; dropped before, it is closed.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::connection::Connection;
use super::pool::{Origin, Pool};

/// An answer whose head is there.
pub(in crate::delivery) struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    back: Option<Back>,
}

/// How a connection gets back.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) pool: Arc<Pool>,
    pub(super) origin: Origin,
    pub(super) connection: Connection,
}

impl Response {
    pub(super) fn new(response: http::Response<Incoming>, back: Back) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body, back: Some(back) }
    }

    pub(in crate::delivery) fn status(&self) -> StatusCode {
        self.status
    }

    pub(in crate::delivery) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Bytes of the body, when the endpoint said so.
    pub(in crate::delivery) fn content_length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes; `None` at the end. Trailers are left out.
    ///
    /// # Errors
    /// When the body breaks off.
    pub(in crate::delivery) async fn chunk(&mut self) -> hyper::Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        if let Some(Back { pool, origin, connection }) = self.back.take() {
            pool.keep(&origin, connection);
        }
        Ok(None)
    }
}

impl Debug for Response {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}
