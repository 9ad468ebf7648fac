//! What the tour can be told on its command line.

use clap::Parser;

/// Shows Hookgate at work: real Envoy with the filter, the sidecar, a subscriber; each step checks what it claims.
#[derive(Debug, Clone, Parser)]
#[command(name = "hookgate-demo", version, about, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// End after the tour instead of staying up until Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,

    /// Hold mode: nothing reaches the sidecar before the verdict (default: stream mode)
    #[arg(long)]
    pub(crate) hold: bool,

    /// Where Envoy listens on 127.0.0.1; 0 takes a free port, here and below
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub(crate) envoy_port: u16,

    /// Where the sidecar takes events
    #[arg(long, value_name = "PORT", default_value_t = 8700)]
    pub(crate) data_port: u16,

    /// Where the sidecar's admin API listens
    #[arg(long, value_name = "PORT", default_value_t = 8701)]
    pub(crate) admin_port: u16,

    /// Where Envoy's own admin interface listens
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    pub(crate) envoy_admin_port: u16,
}

const AFTER_HELP: &str = "\
With make: make run ARGS=\"--once --envoy-port 18000\"
Exit code: 0 all claims held, 1 one did not, 2 it could not start.
NO_COLOR switches colours off; so does an output that is no terminal.";

impl Args {
    /// The bootstrap to start Envoy with.
    pub(crate) fn bootstrap(&self) -> &'static str {
        if self.hold { "envoy/envoy-hold.yaml" } else { "envoy/envoy.yaml" }
    }

    /// Every port with the flag that sets it.
    pub(crate) fn ports(&self) -> [(&'static str, u16); 4] {
        [
            ("--envoy-port", self.envoy_port),
            ("--data-port", self.data_port),
            ("--admin-port", self.admin_port),
            ("--envoy-admin-port", self.envoy_admin_port),
        ]
    }
}
