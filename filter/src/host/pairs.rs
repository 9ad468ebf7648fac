//! The ABI's form of header pairs: a count, then two lengths a pair, then each name and value with a NUL behind it.

use super::Line;

/// Reads pairs; `None` when the bytes are not exactly that. Empty bytes are no pairs.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<Line>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let (count, rest) = number(bytes)?;
    let (mut lengths, mut data) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut lines = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, value);
        (name, lengths) = number(lengths)?;
        (value, lengths) = number(lengths)?;
        let (name, after_name) = text(data, name)?;
        let (value, after_value) = text(after_name, value)?;
        data = after_value;
        lines.push((name.to_vec(), value.to_vec()));
    }
    data.is_empty().then_some(lines)
}

/// Writes pairs; `None` when a length does not fit.
#[must_use]
pub fn encode(lines: &[(&str, &str)]) -> Option<Vec<u8>> {
    let mut bytes = u32::try_from(lines.len()).ok()?.to_le_bytes().to_vec();
    for (name, value) in lines {
        bytes.extend(u32::try_from(name.len()).ok()?.to_le_bytes());
        bytes.extend(u32::try_from(value.len()).ok()?.to_le_bytes());
    }
    for (name, value) in lines {
        for part in [name, value] {
            bytes.extend(part.as_bytes());
            bytes.push(0);
        }
    }
    Some(bytes)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn text(bytes: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(len)?;
    let (&nul, rest) = rest.split_first()?;
    (nul == 0).then_some((text, rest))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn what_is_written_reads_back_with_doubles_and_empty_values() {
        let lines = [(":path", "/in/demo"), ("x-sig", "one"), ("x-sig", "two"), ("x-empty", "")];
        let read = decode(&encode(&lines).unwrap()).unwrap();
        let expected: Vec<_> =
            lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn no_bytes_are_no_pairs() {
        assert_eq!(decode(&[]), Some(Vec::new()));
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_survived() {
        let whole = encode(&[("a", "bc"), ("def", "")]).unwrap();
        for cut in 1..whole.len() {
            assert_eq!(decode(&whole[..cut]), None, "cut at {cut}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                drop(decode(&bytes));
            }
        }
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_reserves_nothing() {
        assert_eq!(decode(&[0xff; 64]), None);
    }

    #[test]
    fn bytes_after_the_last_pair_are_refused() {
        let mut bytes = encode(&[("a", "b")]).unwrap();
        bytes.push(0);
        assert_eq!(decode(&bytes), None);
    }
}
