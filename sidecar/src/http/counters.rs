//! The limiter's shards in this process's memory: a fixed number, created before the first request.

use std::sync::{Mutex, PoisonError};

use hookgate_policy::{Counters, CountersError, Policy, Shard};

/// All shards. A shard's bytes are bounded by the policy, so is the whole.
#[derive(Debug)]
pub(super) struct ShardTable(Box<[Mutex<Shard>]>);

impl Default for ShardTable {
    fn default() -> Self {
        Self((0..Policy::SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Counters for &ShardTable {
    fn load(&mut self, shard: u16) -> Result<Shard, CountersError> {
        let shard = self.0.get(usize::from(shard)).ok_or(CountersError)?;
        Ok(shard.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn swap(&mut self, shard: u16, bytes: &[u8], version: u32) -> Result<bool, CountersError> {
        let shard = self.0.get(usize::from(shard)).ok_or(CountersError)?;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.version != version {
            return Ok(false);
        }
        bytes.clone_into(&mut shard.bytes);
        shard.version = shard.version.wrapping_add(1);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_of_two_swaps_of_one_version_wins() {
        let table = ShardTable::default();
        let mut counters = &table;
        let seen = counters.load(3).unwrap();
        assert_eq!(counters.swap(3, b"first", seen.version), Ok(true));
        assert_eq!(counters.swap(3, b"second", seen.version), Ok(false));
        assert_eq!(counters.load(3).unwrap().bytes, b"first");
        assert_eq!(counters.load(Policy::SHARDS), Err(CountersError));
    }
}
