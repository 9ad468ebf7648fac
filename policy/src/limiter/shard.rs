//! One shard's bytes: at most 64 clients, 16 bytes each (fingerprint, then theoretical arrival time, little-endian).

/// The most clients a shard holds.
const MAX: usize = 64;

/// The clients of one shard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries(Vec<Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    fingerprint: u64,
    tat: u64,
}

impl Entries {
    /// Reads a shard. Bytes that are not ours read as an empty one: the shared memory is open to others.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let (pairs, odd) = words.as_chunks::<2>();
        if !rest.is_empty() || !odd.is_empty() || pairs.len() > MAX {
            return Self::default();
        }
        let entry = |[fingerprint, tat]: &[[u8; 8]; 2]| Entry {
            fingerprint: u64::from_le_bytes(*fingerprint),
            tat: u64::from_le_bytes(*tat),
        };
        Self(pairs.iter().map(entry).collect())
    }

    /// As [`Self::parse`] reads it; at most 1 KiB.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|entry| [entry.fingerprint, entry.tat]).flat_map(u64::to_le_bytes).collect()
    }

    /// The state of one client; 0 if there is none, or if it lies after `latest`: then it was written under another
    /// clock or another limit.
    pub(crate) fn get(&self, fingerprint: u64, latest: u64) -> u64 {
        let entry = self.0.iter().find(|entry| entry.fingerprint == fingerprint);
        entry.map(|entry| entry.tat).filter(|tat| *tat <= latest).unwrap_or(0)
    }

    /// Sets the state of one client. A full shard forgets whoever owes least: who owes nothing any more before all.
    pub(crate) fn set(&mut self, fingerprint: u64, tat: u64) {
        self.0.retain(|entry| entry.fingerprint != fingerprint);
        while self.0.len() >= MAX {
            let least = self.0.iter().enumerate().min_by_key(|(_, entry)| entry.tat).map(|(at, _)| at);
            self.0.swap_remove(least.unwrap_or(0));
        }
        self.0.push(Entry { fingerprint, tat });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANY: u64 = u64::MAX;

    #[test]
    fn what_is_set_can_be_read_back() {
        let mut entries = Entries::default();
        entries.set(1, 10);
        entries.set(2, 20);
        entries.set(1, 30);
        let read = Entries::parse(&entries.to_bytes());
        assert_eq!(read, entries);
        assert_eq!([1, 2, 3].map(|fingerprint| read.get(fingerprint, ANY)), [30, 20, 0]);
    }

    #[test]
    fn a_full_shard_forgets_who_owes_least() {
        let mut entries = Entries::default();
        for fingerprint in 0..64 {
            entries.set(fingerprint, 1_000 - fingerprint);
        }
        entries.set(64, 5);
        assert_eq!(entries.to_bytes().len(), 1_024);
        assert_eq!(entries.get(63, ANY), 0);
        assert_eq!(entries.get(0, ANY), 1_000);
        assert_eq!(entries.get(64, ANY), 5);
    }

    #[test]
    fn a_state_from_too_far_ahead_does_not_count() {
        let mut entries = Entries::default();
        entries.set(1, 100);
        assert_eq!(entries.get(1, 100), 100);
        assert_eq!(entries.get(1, 99), 0);
    }

    proptest! {
        #[test]
        fn garbage_reads_as_some_shard(bytes in prop::collection::vec(any::<u8>(), 0..1_200)) {
            let mut entries = Entries::parse(&bytes);
            prop_assert!(bytes.len() % 16 == 0 && bytes.len() <= 1_024 || entries == Entries::default());
            entries.set(7, 7);
            prop_assert!(entries.to_bytes().len() <= 1_024);
            prop_assert_eq!(Entries::parse(&entries.to_bytes()).get(7, ANY), 7);
        }
    }
}
