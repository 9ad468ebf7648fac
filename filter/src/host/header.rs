//! What may be written into a header. Envoy catches a bad value only in its router (503), and sends an empty name on.

use super::{HostError, status};

/// Refuses a name that is no token (RFC 9110 §5.1) and a value with a line break or NUL in it.
///
/// # Errors
/// Names `call`, with the ABI's bad-argument status, as if the host had looked.
pub fn check(call: &'static str, name: &str, value: &str) -> Result<(), HostError> {
    let sound = !name.is_empty() && name.bytes().all(is_token) && !value.bytes().any(breaks_line);
    if sound { Ok(()) } else { Err(HostError { call, status: status::BAD_ARGUMENT }) }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

const fn breaks_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_one_line_under_a_token_passes() {
        let table = [
            ("plain", "x-request-id", "018f", true),
            ("an empty value is a value", "x-empty", "", true),
            ("an empty name", "", "a", false),
            ("a space in the name", "x id", "a", false),
            ("a colon in the name", "x:id", "a", false),
            ("a pseudo header", ":path", "/", false),
            ("a line break", "x-id", "a\r\nx-evil: 1", false),
            ("a bare line feed", "x-id", "a\nb", false),
            ("NUL", "x-id", "a\0b", false),
        ];
        for (promise, name, value, passes) in table {
            assert_eq!(check("test", name, value).is_ok(), passes, "{promise}");
        }
    }
}
