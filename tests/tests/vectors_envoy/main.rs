//! Sends every signature vector through a real Envoy with the filter, in both modes, over HTTP/1.1 and over HTTP/2 with
//! trailers, and says per scheme how many came to their verdict and which HTTP cannot carry.
//!
//! Without the usual harness, so that the counts are always seen. `HOOKGATE_VECTORS=DIR` names another folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a suite fails loudly, and this one reports"
)]

mod case;
#[expect(dead_code, reason = "the policy's own suite compares reasons and replay keys as well")]
#[path = "../../../policy/tests/vectors/file.rs"]
mod file;
mod report;
mod send;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use case::Case;
use hookgate_e2e::artefacts;
use report::Report;
use send::Way;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--list") {
        println!("vectors_envoy: test");
        return ExitCode::SUCCESS;
    }
    let folder = std::env::var_os("HOOKGATE_VECTORS")
        .map_or_else(|| artefacts::root().join("tests/vectors"), PathBuf::from);
    println!("\nvectors in {}, through Envoy", folder.display());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let report = runtime.block_on(run(&case::read(&folder)));
    report.print();
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One Envoy per mode and per clock of the vectors; all that share a clock are sources of one policy.
async fn run(cases: &[Case]) -> Report {
    let mut report = Report::default();
    let (sound, broken): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.has_usable_secrets());
    for case in broken {
        report.add_start(case, &send::refused_start(case));
    }
    let clocks: BTreeSet<u64> = sound.iter().map(|case| case.vector.now).collect();
    for clock in clocks {
        let group: Vec<_> = sound.iter().copied().filter(|case| case.vector.now == clock).collect();
        for mode in ["envoy/envoy.yaml", "envoy/envoy-hold.yaml"] {
            let outcomes: BTreeMap<_, _> = send::all(mode, clock, &group).await;
            for case in &group {
                for way in Way::ALL {
                    report.add(case, mode, way, &outcomes[&(case.number, way)]);
                }
            }
        }
    }
    report
}
