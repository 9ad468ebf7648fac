//! Every way in which a request can end, with a genuine, a forged and no signature: what upstream saw, to the byte.

use hookgate_e2e::h2_client::H2Client;
use hookgate_e2e::upstream::Seen;
use hookgate_e2e::{Client, Framing, Request, Response};

use crate::door::{BOUND, Door, Mode, assert_refusal, signature};

const PARTS: [&[u8]; 2] = [b"01234", b"56789"];
const TRAILER: (&str, &str) = ("x-after", "1");

/// What is sent after the head, each apart from the one before.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// Body bytes.
    Data(&'static [u8]),
    /// Body bytes that end the request; over HTTP/1.1 the end of the framing follows by itself.
    Last(&'static [u8]),
    /// Trailers, which end the request.
    Trailers,
}

/// A framing: what the head says, and what comes after it.
struct Row {
    name: &'static str,
    http2: bool,
    framing: Framing,
    then: &'static [Then],
    /// The head says, or is, all: it is judged there in both modes.
    ends_at_head: bool,
}

impl Row {
    const fn h1(name: &'static str, framing: Framing, then: &'static [Then]) -> Self {
        Self { name, http2: false, framing, then, ends_at_head: false }
    }

    const fn h2(name: &'static str, framing: Framing, then: &'static [Then]) -> Self {
        Self { name, http2: true, framing, then, ends_at_head: false }
    }

    const fn judged_at_head(mut self) -> Self {
        self.ends_at_head = true;
        self
    }

    /// The body, whole.
    fn body(&self) -> Vec<u8> {
        let parts = self.then.iter().map(|then| match then {
            Then::Data(part) | Then::Last(part) => *part,
            Then::Trailers => &[],
        });
        parts.collect::<Vec<_>>().concat()
    }

    /// What is sent before the answer: a request that is judged at its head is answered then, whatever its client has
    /// in mind to send later.
    const fn then_sent(&self) -> &'static [Then] {
        if self.ends_at_head { &[] } else { self.then }
    }

    /// An HTTP/1.1 upstream can be given trailers only in chunks.
    fn may_keep_trailers(&self) -> bool {
        matches!(self.then.last(), Some(Then::Trailers)) && !matches!(self.framing, Framing::Claimed(_))
    }
}

fn rows() -> Vec<Row> {
    use Framing::{Chunked, Claimed, Unsaid};
    use Then::{Data, Last, Trailers};
    let trailers = || Framing::Trailers(vec![TRAILER]);
    vec![
        Row::h1("h1, a length", Claimed(10), &[Data(PARTS[0]), Last(PARTS[1])]),
        Row::h1("h1, chunked", Chunked, &[Data(PARTS[0]), Data(PARTS[1]), Last(b"")]),
        Row::h1("h1, chunked and trailers", trailers(), &[Data(PARTS[0]), Data(PARTS[1]), Trailers]),
        Row::h1("h1, a length of 0", Claimed(0), &[]).judged_at_head(),
        Row::h1("h1, neither length nor chunks", Unsaid, &[]).judged_at_head(),
        Row::h1("h1, chunked and empty", Chunked, &[Last(b"")]),
        Row::h2("h2, the end on the last data", Unsaid, &[Data(PARTS[0]), Last(PARTS[1])]),
        Row::h2("h2, the end on an empty frame", Unsaid, &[Data(PARTS[0]), Data(PARTS[1]), Last(b"")]),
        Row::h2("h2, a length and the end on an empty frame", Claimed(5), &[Data(PARTS[0]), Last(b"")]),
        Row::h2("h2, data then trailers", Unsaid, &[Data(PARTS[0]), Data(PARTS[1]), Trailers]),
        Row::h2("h2, a length, data then trailers", Claimed(5), &[Data(PARTS[0]), Trailers]),
        Row::h2("h2, nothing but a head", Unsaid, &[]).judged_at_head(),
        Row::h2("h2, a head then trailers", Unsaid, &[Trailers]),
        Row::h2("h2, a length of 0, its end later", Claimed(0), &[Last(b"")]).judged_at_head(),
        Row::h2("h2, a length of 0, trailers later", Claimed(0), &[Trailers]).judged_at_head(),
    ]
}

/// What is in the signature header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signed {
    Genuine,
    /// Of another body.
    Forged,
    Missing,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_message_arrives_whole_in_every_framing() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        for row in rows() {
            let answer = exchange(&door, &row, Signed::Genuine, row.then_sent()).await;
            assert_eq!(answer.status, 200, "{}, {mode:?}: {}", row.name, answer.text());
            let arrived = |seen: &[Seen]| seen.iter().all(|seen| seen.message.complete) && !seen.is_empty();
            door.upstream.wait_for("the whole message", BOUND, arrived).await;
            let seen = door.upstream.take();
            assert_eq!(seen.len(), 1, "{}, {mode:?}: {seen:?}", row.name);
            assert_eq!(seen[0].message.body, row.body(), "{}, {mode:?}", row.name);
            if row.may_keep_trailers() {
                assert_eq!(seen[0].message.trailers.len(), 1, "{}, {mode:?}: trailers are kept", row.name);
            }
        }
        door.assert_never_trapped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_message_is_refused_and_not_a_byte_of_its_body_arrives() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        for row in rows() {
            let before = door.sent_on().await;
            let answer = exchange(&door, &row, Signed::Forged, row.then_sent()).await;
            assert_refusal(&answer, 401, &format!("{}, {mode:?}", row.name));
            if mode == Mode::Hold || row.ends_at_head {
                assert_eq!(door.sent_on().await, before, "{}, {mode:?}: nothing goes on", row.name);
                assert_eq!(door.upstream.take(), [], "{}, {mode:?}", row.name);
            } else {
                assert_headers_only(&door, row.name).await;
            }
        }
        door.assert_never_trapped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_signature_is_refused_before_anything_goes_on() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        for row in rows() {
            let answer = exchange(&door, &row, Signed::Missing, &[]).await;
            assert_refusal(&answer, 401, &format!("{}, {mode:?}", row.name));
        }
        assert_eq!(door.sent_on().await, 0, "{mode:?}");
        assert_eq!(door.upstream.seen(), [], "{mode:?}");
        door.assert_never_trapped().await;
    }
}

/// Upstream saw the head, then the end of the connection.
async fn assert_headers_only(door: &Door, name: &str) {
    let over = |seen: &[Seen]| seen.iter().all(|seen| seen.cut_off) && !seen.is_empty();
    door.upstream.wait_for("the end of a refused message", BOUND, over).await;
    let seen = door.upstream.take();
    assert_eq!(seen.len(), 1, "{name}: {seen:?}");
    assert_eq!(seen[0].message.body, b"", "{name}");
    assert!(!seen[0].message.complete, "{name}");
}

/// Sends the head and `then`, each once the one before was read, and takes the answer.
async fn exchange(door: &Door, row: &Row, signed: Signed, then: &[Then]) -> Response {
    let body = row.body();
    let request = Request::post("/in/seed").framing(row.framing.clone());
    let request = match signed {
        Signed::Genuine => request.headers(signature("seed", &body)),
        Signed::Forged => request.headers(signature("seed", b"another body")),
        Signed::Missing => request,
    };
    if row.http2 { over_h2(door, row, &request, then).await } else { over_h1(door, &request, then).await }
}

async fn over_h1(door: &Door, request: &Request, then: &[Then]) -> Response {
    let mut client = Client::connect(door.envoy.address()).await;
    let mut sent = door.received().await;
    // The frames of the same request, of which the head comes first and the end of the framing last.
    let parts = then.iter().filter_map(|then| match then {
        Then::Data(part) | Then::Last(part) if !part.is_empty() => Some(*part),
        Then::Data(_) | Then::Last(_) | Then::Trailers => None,
    });
    let frames = request.clone().parts(parts).frames();
    let frames = if then.is_empty() { &frames[..1] } else { &frames[..] };
    for frame in frames {
        client.write(frame).await.expect("an open connection");
        sent += frame.len() as u64;
        door.wait_received(sent).await;
    }
    client.read(BOUND).await.expect("an answer")
}

/// What HTTP/2 puts before the bytes of a frame.
const FRAME_HEADER: u64 = 9;

async fn over_h2(door: &Door, row: &Row, request: &Request, then: &[Then]) -> Response {
    let mut client = H2Client::connect(door.envoy.address()).await;
    let before = door.received().await;
    let mut exchange = client.open(request, row.then.is_empty()).await.expect("an open connection");
    door.wait_received(before + 1).await;
    for then in then {
        let before = door.received().await;
        let len = match then {
            Then::Data(part) => {
                exchange.data(part, false);
                part.len()
            }
            Then::Last(part) => {
                exchange.data(part, true);
                part.len()
            }
            Then::Trailers => {
                exchange.trailers(&[TRAILER]);
                1
            }
        };
        door.wait_received(before + FRAME_HEADER + len as u64).await;
    }
    exchange.answer(BOUND).await.expect("an answer")
}
