//! Chance that can be had again: every random number follows from the seed of the run.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

/// The seed of this run: `CHAOS_SEED`, or a new one.
static SEED: LazyLock<u64> = LazyLock::new(|| {
    let given = std::env::var("CHAOS_SEED").ok();
    let seed = given.map_or_else(
        || RandomState::new().hash_one(0) % 1_000_000,
        |given| given.parse().expect("CHAOS_SEED is a whole number"),
    );
    say(&format!("CHAOS_SEED={seed}"));
    seed
});

/// A row of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    /// The row that belongs to `name` in this run.
    pub(crate) fn of(name: &str) -> Self {
        Self { seed: hash((*SEED, name)), drawn: 0 }
    }

    /// The next one, below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        self.of_thing(self.drawn, bound)
    }

    /// Always the same one for the same thing, below `bound`.
    pub(crate) fn of_thing(&self, thing: impl Hash, bound: u64) -> u64 {
        hash((self.seed, thing)) % bound
    }

    /// Lets a random time pass: what happens next shall not happen in step with anything.
    pub(crate) async fn pause(&mut self, most: Duration) {
        let micros = u64::try_from(most.as_micros()).expect("a short pause");
        tokio::time::sleep(Duration::from_micros(self.below(micros + 1))).await;
    }
}

fn hash(thing: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

/// Shown also when the test passes: accounts are what the suite is for.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("a standard output");
}
