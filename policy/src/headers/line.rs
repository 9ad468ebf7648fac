//! Single header lines: exactly one, or a reason why not.

use crate::{Header, Reason};

use super::name::{HeaderName, Likeness};

/// The value of the only line called `name`, trimmed of outer spaces and tabs; `None` when there is none, or an empty
/// one.
///
/// # Errors
/// [`Reason::DuplicateHeader`] when there are several, or a twin spelled with underscores: two hops would read two
/// messages.
pub(crate) fn one_line<'a>(headers: &[Header<'a>], name: &HeaderName) -> Result<Option<&'a [u8]>, Reason> {
    let mut found = None;
    for header in headers {
        match name.compare(header.name) {
            Likeness::Same if found.is_none() => found = Some(trim(header.value)),
            Likeness::Same | Likeness::Twin => return Err(Reason::DuplicateHeader),
            Likeness::Other => {}
        }
    }
    Ok(found.filter(|value| !value.is_empty()))
}

/// A field value without the white space around it (RFC 9110, section 5.5).
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and values.
    type Lines<'a> = &'a [(&'a str, &'a str)];
    type Answer = Result<Option<&'static str>, Reason>;

    #[test]
    fn exactly_one_line_counts() {
        let name = HeaderName::parse("x-sig").unwrap();
        let table: [(&str, Lines<'_>, Answer); 8] = [
            ("none", &[("other", "1")], Ok(None)),
            ("one", &[("x-sig", "1")], Ok(Some("1"))),
            ("in any case", &[("X-SIG", "1")], Ok(Some("1"))),
            ("trimmed", &[("x-sig", " \t1 2\t ")], Ok(Some("1 2"))),
            ("empty is none", &[("x-sig", "\t")], Ok(None)),
            ("two", &[("x-sig", "1"), ("X-Sig", "1")], Err(Reason::DuplicateHeader)),
            ("a twin", &[("x_sig", "1"), ("x-sig", "1")], Err(Reason::DuplicateHeader)),
            ("a twin alone", &[("x_sig", "1")], Err(Reason::DuplicateHeader)),
        ];
        for (promise, lines, answer) in table {
            let headers: Vec<_> =
                lines.iter().map(|(n, v)| Header { name: n.as_bytes(), value: v.as_bytes() }).collect();
            assert_eq!(one_line(&headers, &name), answer.map(|value| value.map(str::as_bytes)), "{promise}");
        }
    }
}
