//! What is kept of an endpoint's answer: status, `Retry-After`, and the first bytes of the body.

use std::time::Duration;

use http::header::RETRY_AFTER;

use crate::delivery::egress::Response;

/// An answer, from its head on.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// Bytes of the body that are kept.
    const KEPT: usize = 1024;
    /// Bytes that are read, so that the connection can be used again; a longer body closes it.
    const READ: usize = 64 * 1024;
    /// How long the body may take once the head is there. What was delivered is known by then: a place in the pool
    /// is worth more than the rest of the text.
    const PATIENCE: Duration = Duration::from_secs(2);

    pub(super) fn of(response: &Response) -> Self {
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Self {
            status: response.status().as_u16(),
            retry_after: retry_after.map(str::to_owned),
            body: Vec::new(),
        }
    }

    /// Reads what is worth reading. A body that breaks off is kept as far as it came.
    pub(super) async fn read(&mut self, mut response: Response) {
        let known_too_long = response.content_length().is_some_and(|length| length > Self::READ as u64);
        let most = if known_too_long { Self::KEPT } else { Self::READ };
        let reading = async {
            let mut read = 0_usize;
            while let Ok(Some(chunk)) = response.chunk().await {
                read = read.saturating_add(chunk.len());
                let room = Self::KEPT.saturating_sub(self.body.len());
                self.body.extend(chunk.iter().take(room));
                if read > most {
                    break;
                }
            }
        };
        if tokio::time::timeout(Self::PATIENCE, reading).await.is_err() {
            tracing::debug!("the answer's body took too long; its head counts");
        }
    }

    /// The kept bytes as text of at most [`Self::KEPT`] bytes.
    pub(super) fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.body).into_owned();
        text.truncate(text.floor_char_boundary(Self::KEPT));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_text_is_at_most_a_kilobyte_of_whole_characters() {
        for (body, expected) in [
            (b"ok".to_vec(), "ok".to_owned()),
            (b"a\xffb".to_vec(), "a\u{fffd}b".to_owned()),
            (vec![0xff; 1024], "\u{fffd}".repeat(341)),
            ("é".repeat(512).into_bytes(), "é".repeat(512)),
        ] {
            let answer = Answer { status: 200, retry_after: None, body };
            assert_eq!(answer.text(), expected);
        }
    }
}
