//! Leases of which nobody learns: the call that made them was cut off, or its answer was lost. Every call that may lease
//! has a token of its own, so upkeep finds them by it and gives them back, long before they would end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keys::Shard;
use super::{Millis, Shared, StoreError};

/// Rounds of upkeep that look for a lost claim: a request that a stalled Redis still holds is done after the first.
const LOOKS: u8 = 5;
/// Lost claims that are looked for; beyond it leases end by themselves.
const MOST: usize = 4_096;

/// The claims that were lost.
#[derive(Debug, Default)]
pub(super) struct Claims {
    lost: Mutex<Vec<Lost>>,
}

#[derive(Debug, Clone, Copy)]
struct Lost {
    shard: Shard,
    token: u64,
    looks: u8,
}

/// A call under way that may lease. Dropped before it is [answered](Claim::answered) it is lost.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    shard: Shard,
    pub(super) token: u64,
    open: bool,
}

impl Claims {
    pub(super) const fn begin(&self, shard: Shard, token: u64) -> Claim<'_> {
        Claim { claims: self, shard, token, open: true }
    }

    /// What is to be looked for, by shard.
    fn by_shard(&self) -> BTreeMap<Shard, Vec<u64>> {
        let mut shards: BTreeMap<Shard, Vec<u64>> = BTreeMap::new();
        for lost in self.lost().iter() {
            shards.entry(lost.shard).or_default().push(lost.token);
        }
        shards
    }

    /// These were looked for.
    fn looked(&self, shard: Shard, tokens: &[u64]) {
        self.lost().retain_mut(|lost| {
            if lost.shard == shard && tokens.contains(&lost.token) {
                lost.looks = lost.looks.saturating_add(1);
            }
            lost.looks < LOOKS
        });
    }

    fn lost(&self) -> MutexGuard<'_, Vec<Lost>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// All that was leased under it is known to somebody.
    pub(super) fn answered(mut self) {
        self.open = false;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut lost = self.claims.lost();
        if self.open && lost.len() < MOST {
            lost.push(Lost { shard: self.shard, token: self.token, looks: 0 });
        }
    }
}

impl Shared {
    /// Takes back what was leased under lost claims, wherever a shard answers; answers how many leases.
    pub(super) async fn find_lost(&self, now: Millis) -> Result<u64, StoreError> {
        let mut found = Ok(0_u64);
        for (shard, tokens) in self.claims.by_shard() {
            let whose: Vec<String> = tokens.iter().map(|token| self.owned(*token)).collect();
            let leases = self.evict_from(shard, &whose, now).await;
            if leases.is_ok() {
                self.claims.looked(shard, &tokens);
            }
            found = found.and_then(|sum| Ok(sum.saturating_add(leases?)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(claims: &Claims) -> Vec<u64> {
        claims.by_shard().into_values().flatten().collect()
    }

    #[test]
    fn a_claim_is_lost_unless_it_is_answered() {
        let (claims, shard) = (Claims::default(), Shard::of_byte(3));
        claims.begin(shard, 1).answered();
        assert!(tokens(&claims).is_empty());
        drop(claims.begin(shard, 2));
        assert_eq!(tokens(&claims), [2]);
    }

    #[test]
    fn a_lost_claim_is_looked_for_a_few_times() {
        let (claims, shard) = (Claims::default(), Shard::of_byte(3));
        drop(claims.begin(shard, 1));
        for look in 1..LOOKS {
            claims.looked(shard, &[1]);
            claims.looked(Shard::of_byte(4), &[1]);
            assert_eq!(tokens(&claims), [1], "after {look} looks");
        }
        claims.looked(shard, &[1]);
        assert!(tokens(&claims).is_empty());
    }

    #[test]
    fn no_more_are_kept_than_can_be_looked_for() {
        let (claims, shard) = (Claims::default(), Shard::of_byte(3));
        for token in 0..=u64::try_from(MOST).unwrap() {
            drop(claims.begin(shard, token));
        }
        assert_eq!(tokens(&claims).len(), MOST);
    }
}
