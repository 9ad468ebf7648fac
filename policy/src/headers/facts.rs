//! What the policy reads of every head, gathered in one pass: its length, its protocol, its id, our own names in it.

use crate::{Header, Reason, RequestHead};

use super::{
    line::trim,
    name::{Likeness, fold},
};

/// Names that only we may set begin so.
const RESERVED: &[u8] = b"x-hookgate-";

/// Reads one line of a known name, or of its twin.
type Read<'a> = fn(&mut Facts<'a>, Header<'a>, Likeness);

/// The facts of one head. What is wrong with it is kept apart, so that a refusal can still carry the request's id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    /// The only `x-request-id`; `None` when there is none or several.
    pub(crate) request_id: Option<&'a [u8]>,
    /// Lines that must not go on: our own names, and twins of `x-request-id`.
    pub(crate) remove: Vec<&'a str>,
    /// `Content-Length`, if one was sent.
    pub(crate) declared: Option<u64>,
    /// Whether the body ends by its framing rather than by a length.
    chunked: bool,
    request_ids: u32,
    lengths: u32,
    hosts: u32,
    /// The first thing that is wrong.
    wrong: Option<Reason>,
}

impl<'a> Facts<'a> {
    /// The names that are read, and by what.
    const READ: [(&'static [u8], Read<'a>); 7] = [
        (b"x-request-id", Self::read_request_id),
        (b"content-length", Self::read_length),
        (b"transfer-encoding", Self::read_encoding),
        (b"host", Self::read_host),
        (b":authority", Self::read_authority),
        (b"upgrade", Self::read_upgrade),
        (b"content-type", Self::read_type),
    ];

    /// Reads every line once.
    pub(crate) fn gather(head: &RequestHead<'a>) -> Self {
        let mut facts = Self::default();
        if head.method.eq_ignore_ascii_case(b"CONNECT") {
            facts.blame(Reason::Protocol);
        }
        for header in head.headers {
            facts.read(*header);
        }
        facts
    }

    /// The first reason to refuse the head whatever its route.
    pub(crate) fn verdict(&self) -> Result<(), Reason> {
        match self.wrong {
            Some(reason) => Err(reason),
            None if self.chunked && self.lengths > 0 => Err(Reason::MalformedLength),
            None => Ok(()),
        }
    }

    fn read(&mut self, header: Header<'a>) {
        if is_reserved(header.name) {
            return self.read_reserved(header.name);
        }
        for (name, read) in Self::READ {
            let likeness = Likeness::of(header.name, name);
            if likeness != Likeness::Other {
                return read(self, header, likeness);
            }
        }
    }

    /// Our own names are removed; spelled with underscores, or not as text, they cannot be, and are refused.
    fn read_reserved(&mut self, name: &'a [u8]) {
        match str::from_utf8(name) {
            Ok(name) if !name.contains('_') => self.remove_once(name),
            _ => self.blame(Reason::ReservedHeader),
        }
    }

    fn read_request_id(&mut self, header: Header<'a>, likeness: Likeness) {
        if likeness == Likeness::Twin {
            if let Ok(name) = str::from_utf8(header.name) {
                self.remove_once(name);
            }
            return;
        }
        self.request_ids = self.request_ids.saturating_add(1);
        self.request_id = (self.request_ids == 1).then_some(header.value);
    }

    fn read_length(&mut self, header: Header<'a>, likeness: Likeness) {
        self.lengths = self.lengths.saturating_add(1);
        self.declared = digits(trim(header.value));
        if self.declared.is_none() || self.lengths > 1 || likeness == Likeness::Twin {
            self.blame(Reason::MalformedLength);
        }
    }

    fn read_encoding(&mut self, _: Header<'a>, likeness: Likeness) {
        self.chunked = true;
        if likeness == Likeness::Twin {
            self.blame(Reason::MalformedLength);
        }
    }

    fn read_host(&mut self, header: Header<'a>, _: Likeness) {
        self.hosts = self.hosts.saturating_add(1);
        if self.hosts > 1 {
            self.blame(Reason::Protocol);
        }
        self.read_authority(header, Likeness::Same);
    }

    /// Several hosts come joined by a comma.
    fn read_authority(&mut self, header: Header<'a>, _: Likeness) {
        if header.value.contains(&b',') {
            self.blame(Reason::Protocol);
        }
    }

    fn read_upgrade(&mut self, _: Header<'a>, _: Likeness) {
        self.blame(Reason::Protocol);
    }

    fn read_type(&mut self, header: Header<'a>, likeness: Likeness) {
        if likeness == Likeness::Same && is_grpc(trim(header.value)) {
            self.blame(Reason::Protocol);
        }
    }

    fn remove_once(&mut self, name: &'a str) {
        if !self.remove.contains(&name) {
            self.remove.push(name);
        }
    }

    fn blame(&mut self, reason: Reason) {
        self.wrong.get_or_insert(reason);
    }
}

fn is_reserved(name: &[u8]) -> bool {
    name.get(..RESERVED.len())
        .is_some_and(|start| start.iter().map(|byte| fold(*byte)).eq(RESERVED.iter().copied()))
}

/// Envoy answers a refused gRPC request with 200 and trailers; a refusal must stay a refusal.
fn is_grpc(content_type: &[u8]) -> bool {
    let prefix = b"application/grpc";
    content_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// A number of digits only; one that does not fit is larger than every limit.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and values.
    type Lines<'a> = &'a [(&'a str, &'a str)];

    fn gather<'a>(method: &'a str, lines: &'a [Header<'a>]) -> Facts<'a> {
        Facts::gather(&RequestHead {
            method: method.as_bytes(),
            target: b"/",
            headers: lines,
            client: None,
            end_of_stream: false,
            entropy: 0,
        })
    }

    fn lines<'a>(lines: Lines<'a>) -> Vec<Header<'a>> {
        lines.iter().map(|(n, v)| Header { name: n.as_bytes(), value: v.as_bytes() }).collect()
    }

    #[test]
    fn heads_that_two_hops_could_read_differently_are_refused() {
        use Reason::{MalformedLength, Protocol, ReservedHeader};
        let table: [(&str, Lines<'_>, Result<(), Reason>); 27] = [
            ("nothing", &[], Ok(())),
            ("a length", &[("Content-Length", "10")], Ok(())),
            ("white space around it", &[("content-length", " 10\t")], Ok(())),
            ("a length beyond any limit", &[("content-length", "99999999999999999999")], Ok(())),
            ("an empty length", &[("content-length", "")], Err(MalformedLength)),
            ("a sign", &[("content-length", "+10")], Err(MalformedLength)),
            ("a list", &[("content-length", "10, 10")], Err(MalformedLength)),
            ("two, alike", &[("content-length", "10"), ("Content-Length", "10")], Err(MalformedLength)),
            ("a twin", &[("content_length", "10")], Err(MalformedLength)),
            ("chunked", &[("transfer-encoding", "chunked")], Ok(())),
            ("a twin of chunked", &[("transfer_encoding", "chunked")], Err(MalformedLength)),
            (
                "chunked and a length",
                &[("transfer-encoding", "chunked"), ("content-length", "1")],
                Err(MalformedLength),
            ),
            (
                "a length and chunked",
                &[("content-length", "1"), ("transfer-encoding", "chunked")],
                Err(MalformedLength),
            ),
            ("an upgrade", &[("Upgrade", "websocket")], Err(Protocol)),
            ("gRPC", &[("content-type", "Application/gRPC+proto")], Err(Protocol)),
            ("gRPC-web", &[("content-type", " application/grpc-web")], Err(Protocol)),
            ("JSON", &[("content-type", "application/json")], Ok(())),
            ("an authority", &[(":authority", "a")], Ok(())),
            ("two authorities, joined", &[(":authority", "a,b")], Err(Protocol)),
            ("two hosts, joined", &[("host", "a,b")], Err(Protocol)),
            ("two hosts", &[("host", "a"), ("Host", "a")], Err(Protocol)),
            ("a host and an authority", &[(":authority", "a"), ("host", "a")], Ok(())),
            ("our own name", &[("X-Hookgate-Verified", "1")], Ok(())),
            ("our own name's twin", &[("x_hookgate_verified", "1")], Err(ReservedHeader)),
            ("a twin in part", &[("x-hookgate_verified", "1")], Err(ReservedHeader)),
            ("a twin at the end", &[("x-hookgate-veri_fied", "1")], Err(ReservedHeader)),
            ("nearly our own name", &[("x-hookgated", "1")], Ok(())),
        ];
        for (promise, given, verdict) in table {
            assert_eq!(gather("POST", &lines(given)).verdict(), verdict, "{promise}");
        }
        assert_eq!(gather("CONNECT", &[]).verdict(), Err(Protocol));
        let not_text = [Header { name: b"x-hookgate-\xff", value: b"" }];
        assert_eq!(gather("POST", &not_text).verdict(), Err(ReservedHeader));
    }

    #[test]
    fn our_own_names_are_removed_as_they_came() {
        let given = lines(&[
            ("X-Hookgate-A", "1"),
            ("accept", "*/*"),
            ("x-hookgate-b", "2"),
            ("X-Hookgate-A", "3"),
            ("x_request_id", "4"),
        ]);
        assert_eq!(gather("POST", &given).remove, ["X-Hookgate-A", "x-hookgate-b", "x_request_id"]);
    }

    #[test]
    fn only_a_single_request_id_counts() {
        let table: [(Lines<'_>, Option<&str>); 4] = [
            (&[], None),
            (&[("X-Request-ID", "a")], Some("a")),
            (&[("x-request-id", "a"), ("x-request-id", "a")], None),
            (&[("x-request-id", "a"), ("x-request-id", "b"), ("x-request-id", "c")], None),
        ];
        for (given, id) in table {
            assert_eq!(gather("POST", &lines(given)).request_id, id.map(str::as_bytes), "{given:?}");
        }
    }
}
