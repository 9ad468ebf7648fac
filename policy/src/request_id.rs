//! The id of a request: the client's or the gateway's if it can be used as it is, else a new one.

use crate::UnixMicros;

/// The longest id that is taken over, in bytes.
const MAX: usize = 128;

/// The id that came, if it is 1–128 of `[A-Za-z0-9._:/+=@-]`: nothing in it needs escaping in a header, a log or JSON.
pub(crate) fn usable(id: &[u8]) -> Option<&str> {
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:/+=@-".contains(byte);
    let fits = (1..=MAX).contains(&id.len()) && id.iter().all(fine);
    if fits { str::from_utf8(id).ok() } else { None }
}

/// A UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 of `entropy`.
pub(crate) fn new(now: UnixMicros, entropy: u128) -> String {
    let time = u128::from(now.0 / 1_000) & 0xFFFF_FFFF_FFFF;
    let high = entropy >> 116;
    let low = entropy & 0x3FFF_FFFF_FFFF_FFFF;
    let bits = (time << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low;
    let hex = format!("{bits:032x}");
    let mut id = String::with_capacity(36);
    for (at, digit) in hex.char_indices() {
        if matches!(at, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        let long = "x".repeat(128);
        let too_long = "x".repeat(129);
        let table = [
            ("abc-123", true),
            ("A.b_c:d/e+f=g@h-i", true),
            (long.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("a b", false),
            ("a,b", false),
            ("a\"b", false),
            ("a\nb", false),
            ("é", false),
        ];
        for (id, fine) in table {
            assert_eq!(usable(id.as_bytes()).is_some(), fine, "{id:?}");
        }
        assert_eq!(usable(b"\xff"), None);
    }

    #[test]
    fn a_new_id_is_a_uuid_of_version_7() {
        let id = new(UnixMicros(0x0190_1234_5678 * 1_000), u128::MAX);
        assert_eq!(id, "01901234-5678-7fff-bfff-ffffffffffff");
        assert_eq!(new(UnixMicros(0), 0), "00000000-0000-7000-8000-000000000000");
    }

    #[test]
    fn a_new_id_uses_the_whole_of_its_entropy() {
        let ids: std::collections::BTreeSet<_> = (0..128).map(|bit| new(UnixMicros(1), 1 << bit)).collect();
        assert_eq!(ids.len(), 74 + 1);
    }
}
