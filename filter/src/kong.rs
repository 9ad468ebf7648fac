//! Where Kong's wasm host (3.4–3.10) differs so much that the same facts need another reading.
//!
//! It never says at the headers that a request has ended, and it skips the body callback when the body is empty.
//! Waiting for a body that never comes would let the request through, so the head must tell.

use crate::facts::Facts;

/// Whether the request ends with its head; `None` when Kong's host gives no way to know.
pub(crate) fn end_of_stream(facts: &Facts) -> Option<bool> {
    match (facts.header("content-length"), facts.header("transfer-encoding")) {
        (Some(b"0"), None) => Some(true),
        (Some(_), None) => Some(false),
        (None, None) if matches!(facts.method(), b"GET" | b"HEAD" | b"DELETE") => Some(true),
        (None | Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::end_of_stream;
    use crate::facts::Facts;
    use crate::testing::{Script, request};

    #[test]
    fn a_body_is_awaited_only_where_one_must_come() {
        type Extra<'a> = &'a [(&'a str, &'a str)];
        let table: [(&str, &str, Extra<'_>, Option<bool>); 6] = [
            ("a length", "POST", &[("content-length", "5")], Some(false)),
            ("length 0", "POST", &[("content-length", "0")], Some(true)),
            ("a GET without", "GET", &[], Some(true)),
            ("a POST without a length may be empty", "POST", &[], None),
            ("chunked may be empty", "POST", &[("transfer-encoding", "chunked")], None),
            ("both", "POST", &[("content-length", "5"), ("transfer-encoding", "chunked")], None),
        ];
        for (promise, method, extra, expected) in table {
            let mut host = Script { lines: request("/in/demo"), ..Script::default() };
            host.set_line(":method", method);
            extra.iter().for_each(|(name, value)| host.set_line(name, value));
            assert_eq!(end_of_stream(&Facts::read(&mut host).unwrap()), expected, "{promise}");
        }
    }
}
