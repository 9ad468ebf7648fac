//! Where the parts under test and beside them lie. A missing one fails with the command that brings it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// The sidecar's binary, of the profile the running program was built with. `HOOKGATE_BIN` names another.
#[must_use]
pub fn hookgate() -> PathBuf {
    found("HOOKGATE_BIN", profile_folder().join("hookgate"), "make build")
}

/// The filter. `HOOKGATE_WASM` names another.
#[must_use]
pub fn filter_wasm() -> PathBuf {
    let target = profile_folder().parent().expect("target/PROFILE").to_owned();
    found("HOOKGATE_WASM", target.join("wasm32-wasip1/release-wasm/hookgate_filter.wasm"), "make build")
}

/// Envoy. `HOOKGATE_ENVOY` names another.
#[must_use]
pub fn envoy() -> PathBuf {
    found("HOOKGATE_ENVOY", root().join(".deps/envoy/envoy/_bin/envoy"), "make deps")
}

/// The Redis server. `HOOKGATE_REDIS_SERVER` names another.
#[must_use]
pub fn redis_server() -> PathBuf {
    found("HOOKGATE_REDIS_SERVER", on_path("redis-server"), "make deps (as root)")
}

/// A Redis server that speaks TLS, which not every build does. `HOOKGATE_REDIS_TLS_SERVER` names another.
#[must_use]
pub fn redis_tls_server() -> PathBuf {
    found("HOOKGATE_REDIS_TLS_SERVER", on_path("redis-server"), "make deps (as root)")
}

/// The Prometheus server. `HOOKGATE_PROMETHEUS` names another.
#[must_use]
pub fn prometheus() -> PathBuf {
    found("HOOKGATE_PROMETHEUS", on_path("prometheus"), "make deps (as root)")
}

/// Prometheus' checker. `HOOKGATE_PROMTOOL` names another.
#[must_use]
pub fn promtool() -> PathBuf {
    found("HOOKGATE_PROMTOOL", on_path("promtool"), "make deps (as root)")
}

/// The folder of the published Python packages, for `PYTHONPATH`.
#[must_use]
pub fn python_packages() -> PathBuf {
    found("HOOKGATE_PYTHON_PACKAGES", root().join(".deps/python"), "make deps")
}

/// `target/PROFILE` of the running test or tool, wherever cargo keeps its target folder.
fn profile_folder() -> PathBuf {
    let program = env::current_exe().expect("the program's own path");
    let folder = program.parent().expect("target/PROFILE/TOOL or target/PROFILE/deps/TEST");
    if folder.ends_with("deps") {
        folder.parent().expect("target/PROFILE").to_owned()
    } else {
        folder.to_owned()
    }
}

fn on_path(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap_or(name.into())
}

fn found(variable: &str, usual: PathBuf, command: &str) -> PathBuf {
    let path = env::var_os(variable).map(|named: OsString| named.into()).unwrap_or(usual);
    assert!(path.exists(), "no {}: run `{command}` first, or set {variable}", path.display());
    path
}
