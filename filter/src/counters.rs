//! The limiter's shards in the host's shared data: one fixed key each, made before the first request.

use hookgate_policy::{Counters, CountersError, Policy, Shard};

use crate::host::{Host, HostError, Level};

/// [`Counters`] over the host of the running callback.
#[derive(Debug)]
pub(crate) struct SharedCounters<'a, H>(pub(crate) &'a mut H);

impl<H: Host> Counters for SharedCounters<'_, H> {
    fn load(&mut self, shard: u16) -> Result<Shard, CountersError> {
        let key = key(shard);
        match self.0.shared(&key) {
            Ok(Some((bytes, version))) => Ok(Shard { bytes, version }),
            Ok(None) => Err(self.failed(&format!("shared data has no {key}"))),
            Err(error) => Err(self.failed(&format!("shared data, {key}: {error}"))),
        }
    }

    fn swap(&mut self, shard: u16, bytes: &[u8], version: u32) -> Result<bool, CountersError> {
        let key = key(shard);
        self.0
            .swap_shared(&key, bytes, version)
            .map_err(|error| self.failed(&format!("shared data, {key}: {error}")))
    }
}

impl<H: Host> SharedCounters<'_, H> {
    fn failed(&mut self, why: &str) -> CountersError {
        self.0.log(Level::Error, why);
        CountersError
    }
}

/// Makes every shard that is not there yet, empty. Every worker runs this; the first one makes them, and a shard
/// with counts in it stays as it is.
///
/// `absent` is the version under which the host creates a key: on Envoy one that no key has (there a missing key
/// is written whatever the version is), on Kong 0.
///
/// # Errors
/// When the host has no shared data to give.
pub(crate) fn create(host: &mut impl Host, absent: u32) -> Result<(), HostError> {
    for shard in 0..Policy::SHARDS {
        let key = key(shard);
        if host.shared(&key)?.is_none() {
            // `false`: another worker made it in between, which is as good.
            let _made = host.swap_shared(&key, &[], absent)?;
        }
    }
    Ok(())
}

/// The part before the slash names the zone on Kong.
fn key(shard: u16) -> String {
    format!("hookgate/rl/{shard:03}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hookgate_policy::{Counters, Policy, Shard};

    use super::{SharedCounters, create, key};
    use crate::testing::Script;

    #[test]
    fn shards_are_made_once_and_keep_what_is_in_them() {
        let mut host = Script::default();
        create(&mut host, 0).unwrap();
        assert_eq!(host.shared.len(), usize::from(Policy::SHARDS));
        let Shard { version, .. } = SharedCounters(&mut host).load(3).unwrap();
        assert_eq!(SharedCounters(&mut host).swap(3, b"full", version), Ok(true));
        create(&mut host, 0).unwrap();
        assert_eq!(SharedCounters(&mut host).load(3).unwrap().bytes, b"full");
    }

    #[test]
    fn a_shard_that_vanished_is_an_error_and_is_not_made_again() {
        let mut host = Script::default();
        SharedCounters(&mut host).load(0).unwrap_err();
        assert!(host.shared.is_empty());
        assert!(host.logged("hookgate/rl/000"));
    }

    #[test]
    fn a_stale_version_swaps_nothing() {
        let mut host = Script::default();
        create(&mut host, 0).unwrap();
        let Shard { version, .. } = SharedCounters(&mut host).load(9).unwrap();
        assert_eq!(SharedCounters(&mut host).swap(9, b"mine", version), Ok(true));
        assert_eq!(SharedCounters(&mut host).swap(9, b"late", version), Ok(false));
    }

    #[test]
    fn no_two_keys_look_alike_to_a_host_that_compares_only_their_crc() {
        let sums: BTreeSet<u32> = (0..Policy::SHARDS).map(|shard| crc32(key(shard).as_bytes())).collect();
        assert_eq!(sums.len(), usize::from(Policy::SHARDS));
    }

    /// CRC-32 as Kong's shared memory takes it (IEEE 802.3, reflected).
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
                (sum >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1))
            })
        })
    }
}
