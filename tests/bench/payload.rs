//! An event that carries its own number and the moment it was sent, so that its receiver knows which one it is and how
//! long it took.

use std::io::Write;

/// What a benchmark's event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Which event of the run, from 0.
    pub(crate) number: u64,
    /// When it was sent: nanoseconds since the run's start.
    pub(crate) sent_ns: u64,
}

/// Before the two numbers, wherever the sidecar put the data.
const MARK: &[u8] = b"\"bench\":\"";
/// Digits of each number: all of a `u64`.
const DIGITS: usize = 20;
/// What surrounds the padding.
const DATA: &str = r#","data":{"bench":""#;
const PAD: &str = r#"","pad":""#;
const TAIL: &str = r#""}}"#;

/// How the bodies begin whose events all are of one type.
pub(crate) const HEAD: &str = r#"{"type":"bench.sent""#;

/// Writes the body of `POST /v1/events` into `body`: exactly `size` bytes, or the least that holds it if that is more.
/// `head`: an object's beginning without `data`, such as [`HEAD`].
pub(crate) fn write(body: &mut Vec<u8>, head: &str, stamp: Stamp, size: usize) {
    body.clear();
    // Writing to memory does not fail.
    drop(write!(body, "{head}{DATA}{:0DIGITS$}/{:0DIGITS$}{PAD}", stamp.number, stamp.sent_ns));
    body.resize(size.saturating_sub(TAIL.len()).max(body.len()), b'x');
    body.extend_from_slice(TAIL.as_bytes());
}

/// The stamp in a body, as the sidecar delivers it or as it was posted; `None` when it carries none.
pub(crate) fn read(body: &[u8]) -> Option<Stamp> {
    let mark = body.windows(MARK.len()).position(|window| window == MARK)?;
    let (number, rest) = body.get(mark + MARK.len()..)?.split_at_checked(DIGITS)?;
    let (sent, _) = rest.strip_prefix(b"/")?.split_at_checked(DIGITS)?;
    Some(Stamp { number: decimal(number)?, sent_ns: decimal(sent)? })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least size of a body that begins so, bytes.
    const LEAST: usize = HEAD.len() + DATA.len() + 2 * DIGITS + 1 + PAD.len() + TAIL.len();

    #[test]
    fn what_is_written_is_read_back_from_json_of_the_wanted_size() {
        for (number, size) in [(0, 0), (7, LEAST), (8, LEAST + 1), (u64::MAX, 1024), (1, 16 * 1024)] {
            let (stamp, mut body) = (Stamp { number, sent_ns: number / 3 }, b"what was before".to_vec());
            write(&mut body, HEAD, stamp, size);
            assert_eq!(body.len(), size.max(LEAST));
            let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(json["type"], "bench.sent");
            let delivered =
                serde_json::json!({ "type": "bench.sent", "timestamp": "2026-01-01", "data": json["data"] });
            assert_eq!(read(delivered.to_string().as_bytes()), Some(stamp), "as delivered");
            assert_eq!(read(&body), Some(stamp), "as posted");
        }
    }

    #[test]
    fn a_body_without_a_whole_stamp_has_none() {
        for body in
            [&b""[..], b"{}", br#"{"bench":"1"#, br#"{"bench":"0000000000000000000x/00000000000000000000""#]
        {
            assert_eq!(read(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
