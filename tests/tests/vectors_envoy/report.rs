//! Counting and telling what came of the vectors.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::file::Expect;
use crate::send::{Outcome, Way};

/// What came of one scheme's vectors.
#[derive(Debug, Default)]
struct Line {
    sent: usize,
    same: usize,
    refused_starts: usize,
    notes: Vec<String>,
    failures: Vec<String>,
}

/// All of it, by scheme.
#[derive(Debug, Default)]
pub(crate) struct Report(BTreeMap<String, Line>);

impl Report {
    /// Counts a message that was sent.
    pub(crate) fn add(&mut self, case: &Case, mode: &str, way: Way, outcome: &Outcome) {
        let line = self.0.entry(case.scheme.clone()).or_default();
        line.sent += 1;
        let lost_on_the_way = case.not_carried(way).filter(|_| is_refused(outcome));
        if let Some(why) = lost_on_the_way {
            line.sent -= 1;
            line.notes.push(format!("not carried: {}, {mode}, {way:?}: {why}", case.vector.id));
            return;
        }
        if is_expected(case, outcome) {
            line.same += 1;
        } else {
            let Outcome { status, arrived } = outcome;
            line.failures.push(format!(
                "{}, {mode}, {way:?}: expected {:?} ({}), got {status:?}, {} arrived",
                case.vector.id,
                case.vector.expect,
                case.vector.reason,
                arrived.len()
            ));
        }
    }

    /// Counts a vector whose secrets cannot be any, so that no message gets as far as being sent.
    pub(crate) fn add_start(&mut self, case: &Case, refused: &Result<(), String>) {
        let line = self.0.entry(case.scheme.clone()).or_default();
        line.notes.push(format!("not sent: {}: Envoy does not start with its secret", case.vector.id));
        match refused {
            Ok(()) => line.refused_starts += 1,
            Err(said) => {
                line.failures.push(format!("{}: Envoy started, or said only {said:?}", case.vector.id));
            }
        }
    }

    /// Whether every message came to its vector's verdict, and there were any.
    pub(crate) fn is_good(&self) -> bool {
        self.0.values().any(|line| line.same > 0) && self.0.values().all(|line| line.failures.is_empty())
    }

    pub(crate) fn print(&self) {
        for (scheme, line) in &self.0 {
            let Line { sent, same, refused_starts, notes, failures } = line;
            println!(
                "  {scheme:<22} {sent} sent, {same} came to their verdict, {refused_starts} starts refused"
            );
            notes.iter().for_each(|note| println!("      {note}"));
            failures.iter().for_each(|failure| println!("      FAILED {failure}"));
        }
        let total = |count: fn(&Line) -> usize| self.0.values().map(count).sum::<usize>();
        println!(
            "\nvectors through Envoy: {} passed, {} failed",
            total(|line| line.same + line.refused_starts),
            total(|line| line.failures.len())
        );
    }
}

fn is_refused(outcome: &Outcome) -> bool {
    outcome.status.is_none_or(|status| (400..500).contains(&status)) && outcome.arrived.is_empty()
}

fn is_expected(case: &Case, outcome: &Outcome) -> bool {
    match case.vector.expect {
        Expect::Accept => outcome.status == Some(200) && outcome.arrived == [case.body.as_slice()],
        Expect::Reject => is_refused(outcome),
    }
}
