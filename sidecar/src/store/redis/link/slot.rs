//! Which of a cluster's slots a key is in (the Redis Cluster specification, "Key distribution model").

/// How many there are.
const SLOTS: u16 = 16_384;

/// The slot of a key: of what stands between its first `{` and the next `}`, if anything does, else of all of it.
pub(super) fn slot(key: &[u8]) -> u16 {
    let mut parts = key.splitn(2, |byte| *byte == b'{').skip(1);
    let tag = parts.next().and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..end).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, beginning at 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_the_slot_of_its_tag() {
        assert_eq!(crc16(b"123456789"), 0x31C3, "the specification's own example");
        // as CLUSTER KEYSLOT answers
        let table: [(&str, u16); 5] =
            [("foo", 12182), ("{foo}.x", 12182), ("a{foo}{bar}", 12182), ("{}foo", 9500), ("", 0)];
        for (key, expected) in table {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        assert_ne!(slot(b"foo{}"), slot(b"foo"), "an empty tag is none");
    }
}
