//! Runs every signature vector against the policy, and says per scheme how many passed.
//!
//! Without the usual harness, so that the count is always seen. `HOOKGATE_VECTORS=DIR` names another folder of the
//! same format: for cases of your own.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness fails loudly"
)]

mod file;
mod run;

use std::{env, path::PathBuf, process::ExitCode};

use file::VectorFile;
use run::Report;

fn main() -> ExitCode {
    if env::args().any(|argument| argument == "--list") {
        println!("vectors: test");
        return ExitCode::SUCCESS;
    }
    let folder = folder();
    let files = file::read_folder(&folder);
    println!("\nvectors in {}", folder.display());
    let mut total = Report::default();
    for file in &files {
        total.add(&run_file(file));
    }
    println!(
        "\nvectors: {} passed, {} failed, {} skipped",
        total.passed,
        total.failures.len(),
        total.skipped
    );
    if total.failures.is_empty() && total.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_file(file: &VectorFile) -> Report {
    let name = &file.scheme;
    let report = run::run(file);
    if report.skipped > 0 {
        println!(
            "  {name:<26} SKIPPED {}: no preset, and not a scheme that the policy takes",
            report.skipped
        );
        return report;
    }
    println!("  {name:<26} {} passed, {} failed", report.passed, report.failures.len());
    for failure in &report.failures {
        println!("      {failure}");
    }
    report
}

#[expect(clippy::disallowed_methods, reason = "a test program has no settings but this one")]
fn folder() -> PathBuf {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");
    env::var_os("HOOKGATE_VECTORS").map_or_else(|| PathBuf::from(ours), PathBuf::from)
}
