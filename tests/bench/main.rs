//! The benchmarks: gateway, delivery, isolation, cold start and deep queues, on real parts, with an exact account of every event.
//!
//! No threshold lives here: machines differ. What a run says is void when its account is not exact.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark fails loudly, reads the clock, prints, and its figures fit a float"
)]

mod args;
mod cold;
mod deep;
mod delivery;
mod gateway;
mod isolation;
mod ledger;
mod load;
mod machine;
mod noop;
mod payload;
mod plan;
mod run;
mod scene;
mod server;
mod spread;
mod table;
mod usage;
mod wire;

use std::fs;
use std::process::ExitCode;

use clap::Parser;
use hookgate_e2e::artefacts;
use serde::Serialize;

use args::{Args, Bench};
use machine::Machine;

#[tokio::main]
async fn main() -> ExitCode {
    let (args, machine) = (Args::parse(), Machine::now());
    let mut is_void = false;
    println!("{}\n", machine.remark());
    if args.wants(Bench::Gateway) {
        say("gateway", "one Envoy worker, 8 connections, signed bodies");
        let report = gateway::measure(args.span()).await;
        is_void |= report.is_void();
        keep(&machine, "gateway", &report, &report.table());
    }
    if args.wants(Bench::Delivery) {
        say("delivery", "1 KiB events from 32 connections to endpoints that answer at once");
        let report = delivery::measure(&args).await;
        is_void |= report.is_void();
        keep(&machine, "delivery", &report, &report.table());
    }
    if args.wants(Bench::Isolation) {
        say(
            "isolation",
            "the same events to the same endpoints twice at once; in one of the two an endpoint hangs",
        );
        let report = isolation::measure(args.span()).await;
        is_void |= report.is_void();
        keep(&machine, "isolation", &report, &report.table());
    }
    if args.wants(Bench::Cold) {
        say("cold", "the sidecar at its start and at rest");
        let report = cold::measure().await;
        keep(&machine, "cold", &report, &report.table());
    }
    if args.wants(Bench::Deep) {
        say(
            "deep",
            "deliveries out of a long queue and out of a short one, over 1000 endpoints on Redis (everysec)",
        );
        let report = deep::measure(args.pending).await;
        is_void |= report.is_void();
        keep(&machine, "deep", &report, &report.table());
    }
    if is_void { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn say(name: &str, what: &str) {
    println!("{name}: {what}\n");
}

/// Prints the table and writes the report to `target/bench/NAME.json`.
fn keep(machine: &Machine, name: &str, report: &impl Serialize, table: &str) {
    println!("{table}");
    let folder = artefacts::root().join("target/bench");
    fs::create_dir_all(&folder).expect("a folder in target");
    let path = folder.join(format!("{name}.json"));
    let json = serde_json::to_vec_pretty(&Kept { machine, report }).expect("a report is JSON");
    fs::write(&path, json).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A report as it is kept.
#[derive(Debug, Serialize)]
struct Kept<'a, R> {
    machine: &'a Machine,
    report: &'a R,
}
