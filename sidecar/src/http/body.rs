//! A request's body, read to its end: bounded in size, in time, and over all requests together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use hookgate_policy::Refusal;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;

/// Bytes are counted in pieces of this size.
const PIECE: usize = 1024;

/// The bounds of reading.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Of one body, bytes.
    max_bytes: usize,
    /// Of one body, from its request's head to its end.
    timeout: Duration,
    /// Of all bodies at once, in pieces.
    buffer: Arc<Semaphore>,
}

impl BodyLimits {
    /// Bounds: bytes of one body, its time, bytes of all bodies at once.
    #[must_use]
    pub fn new(max_bytes: u32, timeout: Duration, buffer_bytes: u32) -> Self {
        let bytes = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let pieces = bytes(buffer_bytes).div_ceil(PIECE).min(Semaphore::MAX_PERMITS);
        Self { max_bytes: bytes(max_bytes), timeout, buffer: Arc::new(Semaphore::new(pieces)) }
    }
}

/// A complete body; its share of the buffer is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Why there is no complete body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoBody {
    /// Ours to say.
    Problem(Problem),
    /// The policy said so.
    Refused(Refusal),
}

/// Reads a body to its end, showing every chunk to `judge` first.
pub(super) async fn read(
    body: Body,
    limits: &BodyLimits,
    judge: impl FnMut(&[u8]) -> Result<(), Refusal>,
) -> Result<Whole, NoBody> {
    match tokio::time::timeout(limits.timeout, collect(body, limits, judge)).await {
        Ok(read) => read,
        Err(_elapsed) => Err(NoBody::Problem(Problem::SlowBody)),
    }
}

async fn collect(
    mut body: Body,
    limits: &BodyLimits,
    mut judge: impl FnMut(&[u8]) -> Result<(), Refusal>,
) -> Result<Whole, NoBody> {
    let (mut bytes, mut share) = (BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.or(Err(NoBody::Problem(Problem::IncompleteBody)))?;
        let Ok(chunk) = frame.into_data() else { continue };
        judge(&chunk).map_err(NoBody::Refused)?;
        let total = bytes.len().saturating_add(chunk.len());
        if total > limits.max_bytes {
            return Err(NoBody::Problem(Problem::BodyTooLarge { limit: limits.max_bytes }));
        }
        reserve(&mut share, total, limits).map_err(NoBody::Problem)?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(Whole { bytes: bytes.freeze(), _share: share })
}

/// Widens a share of the buffer to `total` bytes. Never waits: two half-read bodies could wait for each other.
fn reserve(
    share: &mut Option<OwnedSemaphorePermit>,
    total: usize,
    limits: &BodyLimits,
) -> Result<(), Problem> {
    let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let more = total.div_ceil(PIECE).saturating_sub(held);
    if more == 0 {
        return Ok(());
    }
    let more = u32::try_from(more).or(Err(Problem::Busy))?;
    let permit = Arc::clone(&limits.buffer).try_acquire_many_owned(more).or(Err(Problem::Busy))?;
    match share {
        Some(share) => share.merge(permit),
        None => *share = Some(permit),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hookgate_policy::Reason;

    use super::*;

    fn limits() -> BodyLimits {
        BodyLimits::new(2048, Duration::from_secs(1), 3072)
    }

    async fn read_bytes(length: usize, limits: &BodyLimits) -> Result<Whole, NoBody> {
        read(Body::from(vec![b'x'; length]), limits, |_| Ok(())).await
    }

    #[tokio::test]
    async fn a_body_ends_at_its_limit() {
        assert_eq!(read_bytes(2048, &limits()).await.unwrap().bytes.len(), 2048);
        let error = read_bytes(2049, &limits()).await.unwrap_err();
        assert_eq!(error, NoBody::Problem(Problem::BodyTooLarge { limit: 2048 }));
    }

    #[tokio::test]
    async fn bodies_share_the_buffer_until_they_are_dropped() {
        let limits = limits();
        let first = read_bytes(2048, &limits).await.unwrap();
        let second = read_bytes(1024, &limits).await.unwrap();
        assert_eq!(read_bytes(1, &limits).await.unwrap_err(), NoBody::Problem(Problem::Busy));
        drop(second);
        assert!(read_bytes(1024, &limits).await.is_ok());
        drop(first);
    }

    #[tokio::test]
    async fn a_judge_ends_it() {
        let refusal = Refusal::new(Reason::BodyTooLarge);
        let error = read(Body::from("x"), &limits(), |_| Err(refusal)).await.unwrap_err();
        assert_eq!(error, NoBody::Refused(refusal));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let error = read(Body::from_stream(endless), &limits(), |_| Ok(())).await.unwrap_err();
        assert_eq!(error, NoBody::Problem(Problem::SlowBody));
    }
}
