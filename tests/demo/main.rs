//! The guided tour: real Envoy with the filter, the sidecar and two subscribers, shown step by step on the terminal.
//! Each step checks what it claims.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tour talks on the terminal, reads the clock, and ends at the first surprise"
)]

mod args;
mod hints;
mod message;
mod ports;
mod screen;
mod secrets;
mod stage;
mod surprise;
mod tour;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use args::Args;
use screen::Screen;
use stage::Stage;
use tour::Tour;

/// A claim did not hold.
const SURPRISED: u8 = 1;
/// Nothing could be shown.
const NOT_STARTED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let (args, screen) = (Args::parse(), Screen::of_stdout());
    if let Err(taken) = ports::check(&args.ports()) {
        screen.failure(&taken);
        return ExitCode::from(NOT_STARTED);
    }
    // The harness panics when a part of it does not do what it must; that ends the task and drops what it had started.
    std::panic::set_hook(Box::new(move |panic| screen.broken(&panic.to_string())));
    let mut tour = tokio::task::spawn(guide(args, screen));
    tokio::select! {
        ended = &mut tour => ended.unwrap_or(ExitCode::from(SURPRISED)),
        () = stop_signal() => {
            tour.abort();
            // Cancelled, as just asked, or over by itself.
            drop(tour.await);
            ExitCode::SUCCESS
        }
    }
}

/// Sets the stage, walks, and stays up if it may.
async fn guide(args: Args, screen: Screen) -> ExitCode {
    let mut stage = match Stage::set(&args).await {
        Ok(stage) => stage,
        Err(error) => {
            screen.failure(&error);
            return ExitCode::from(NOT_STARTED);
        }
    };
    introduce(&args, screen, &stage);
    let walked = Tour::new(&stage, screen).walk().await;
    if let Err(surprise) = walked {
        screen.failure(&surprise);
        screen.text(stage.last_words());
        stage.stop().await;
        return ExitCode::from(SURPRISED);
    }
    screen.success("✓  Every claim held.");
    if !args.once {
        hints::show(screen, &stage);
        std::future::pending::<()>().await;
    }
    stage.stop().await;
    ExitCode::SUCCESS
}

fn introduce(args: &Args, screen: Screen, stage: &Stage) {
    let mode = if args.hold { "hold" } else { "stream" };
    screen.title("Hookgate, the guided tour");
    screen.fact("Envoy", format!("http://{} with the filter, mode {mode}", stage.envoy.address()));
    screen.fact(
        "sidecar",
        format!("http://{} events, http://{} admin API", stage.sidecar.data(), stage.sidecar.admin()),
    );
    screen.fact(
        "subscribers",
        format!("{} and {}", stage.steady.receiver.url("/webhooks"), stage.flaky.receiver.url("/webhooks")),
    );
}

async fn stop_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("a handler for SIGTERM");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
