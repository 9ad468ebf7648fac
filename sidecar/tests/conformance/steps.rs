//! What may happen in a history.

use proptest::prelude::*;

#[derive(Debug, Clone)]
pub enum Step {
    Accept(Wish),
    Take { room: u16 },
    Settle { which: usize, next: NextStep },
    Maintain,
    Retry { which: usize },
    Pass { ms: u64 },
    Reopen,
}

/// What an event asks for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub keys: Vec<u8>,
    pub ahead_ms: u64,
    pub ttl_ms: Option<u64>,
    pub line: Option<u8>,
}

#[derive(Debug, Clone, Copy)]
pub enum NextStep {
    Delivered,
    RetryIn(u64),
    Dead,
    GivenUp,
    Returned,
}

pub fn any_step(reopen: u32) -> impl Strategy<Value = Step> {
    let next = prop_oneof![
        3 => Just(NextStep::Delivered),
        3 => (0..9_000_u64).prop_map(NextStep::RetryIn),
        1 => Just(NextStep::Dead),
        1 => Just(NextStep::GivenUp),
        1 => Just(NextStep::Returned),
    ];
    let keys = proptest::collection::vec(0..6_u8, 0..4);
    let ahead_ms = prop_oneof![3 => Just(0), 1 => 0..9_000_u64];
    let ttl_ms = prop_oneof![3 => Just(None), 1 => (1..9_000_u64).prop_map(Some)];
    let line = proptest::option::of(0..2_u8);
    let wish = (keys, ahead_ms, ttl_ms, line).prop_map(|(keys, ahead_ms, ttl_ms, line)| Wish {
        keys,
        ahead_ms,
        ttl_ms,
        line,
    });
    prop_oneof![
        4 => wish.prop_map(Step::Accept),
        5 => (1..6_u16).prop_map(|room| Step::Take { room }),
        5 => (any::<usize>(), next).prop_map(|(which, next)| Step::Settle { which, next }),
        1 => Just(Step::Maintain),
        1 => any::<usize>().prop_map(|which| Step::Retry { which }),
        3 => (0..5_000_u64).prop_map(|ms| Step::Pass { ms }),
        reopen => Just(Step::Reopen),
    ]
}
