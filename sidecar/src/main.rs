//! The `hookgate` binary: reads the configuration, then serves until it is told to stop.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use hookgate_sidecar::config::{self, KEYS, Loaded, Surroundings};
use hookgate_sidecar::serve::{self, Ended};
use hookgate_sidecar::telemetry::lines;
use hookgate_sidecar::telemetry::logs::{self, Chain};

/// An event allocates some hundred times, on one thread, and is freed on another: this allocator is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A webhook gateway: verifies what comes in, delivers it signed and retried.
#[derive(Debug, Parser)]
#[command(name = "hookgate", version, max_term_width = 110)]
struct Cli {
    /// The configuration file (TOML); without it `HOOKGATE_CONFIG` names one, or there is none.
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default).
    Serve,
    /// Check the configuration and the policy, then exit: 0 when sound, 2 when not.
    Check,
}

/// The configuration cannot be.
const UNSOUND: u8 = 2;

fn main() -> ExitCode {
    let matches = Cli::command().after_long_help(variables()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let read = |path: &Path| std::fs::read_to_string(path);
    let around = Surroundings { variable: &config::system_variable, read: &read };
    match (config::load(cli.config.as_deref(), &around), cli.command) {
        (Err(error), _) => fail(&error, UNSOUND),
        (Ok(loaded), Some(Command::Check)) => tell_sound(&loaded),
        (Ok(loaded), Some(Command::Serve) | None) => run(loaded),
    }
}

fn run(loaded: Loaded) -> ExitCode {
    if let Err(error) = logs::init(&loaded.config.log) {
        return fail(&*error, UNSOUND);
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_name("hookgate").on_thread_park(lines::before_sleep);
    let runtime = match runtime.build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    let ended = runtime.block_on(serve::until_signalled(loaded));
    runtime.shutdown_background();
    lines::flush();
    match ended {
        Ok(Ended::Drained) => ExitCode::SUCCESS,
        Ok(Ended::CutShort) => ExitCode::FAILURE,
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &(dyn std::error::Error + 'static), code: u8) -> ExitCode {
    match writeln!(std::io::stderr(), "hookgate: {}", Chain(error)) {
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}

fn tell_sound(loaded: &Loaded) -> ExitCode {
    let (sources, declared) = (loaded.policy.sources().len(), loaded.declared.len());
    let told = writeln!(
        std::io::stdout(),
        "The configuration is sound: {sources} sources, {declared} declared endpoints."
    );
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every variable, for `--help`.
fn variables() -> String {
    let width = KEYS.iter().map(|key| key.variable.len()).max().unwrap_or_default();
    let mut text = "Environment (each wins over its key in the file; empty counts as unset):\n".to_owned();
    for key in KEYS {
        let file = if key.name.is_empty() { String::new() } else { format!(" (file: {})", key.name) };
        if writeln!(text, "  {:width$}  {}{file}", key.variable, key.meaning).is_err() {
            break;
        }
    }
    text
}
