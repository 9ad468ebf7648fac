//! Changes to a shipped bootstrap that several suites need.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::artefacts;
use crate::envoy::Setup;

/// What stands before and after the policy in a shipped bootstrap.
const BEFORE_POLICY: &str = "value: |\n";
const AFTER_POLICY: &str = "                  - name: envoy.filters.http.router\n";

/// The first of the names of secrets that the filter may read.
const FIRST_SECRET: &str = "                              - HOOKGATE_SECRET_DEMO\n";

impl Setup {
    /// The policy document of the filter, as text.
    ///
    /// # Panics
    /// When the bootstrap is not one of the shipped ones, or its policy was replaced.
    #[must_use]
    pub fn policy(&self) -> &str {
        let (_, rest) = self.bootstrap().split_once(BEFORE_POLICY).expect("a policy");
        rest.split_once(AFTER_POLICY).expect("the router behind the policy").0
    }

    /// Replaces the policy document by another text, JSON or not.
    ///
    /// # Panics
    /// When the bootstrap is not one of the shipped ones, or its policy was replaced already.
    #[must_use]
    pub fn with_policy(self, text: &str) -> Self {
        let old = format!("{BEFORE_POLICY}{}{AFTER_POLICY}", self.policy());
        let text = serde_json::to_string(text).expect("a JSON string, which is a YAML string");
        self.edit(&old, &format!("value: {text}\n{AFTER_POLICY}"))
    }

    /// Sets a secret in Envoy's environment and lets the filter read it.
    ///
    /// # Panics
    /// When the bootstrap lets the filter read no secrets.
    #[must_use]
    pub fn secret(self, variable: &str, text: &str) -> Self {
        let listed = format!("{FIRST_SECRET}                              - {variable}\n");
        self.edit(FIRST_SECRET, &listed).env(variable, text)
    }

    /// Stops the clock of the day that Envoy tells at a unix second; the clock it waits by runs on.
    ///
    /// # Panics
    /// When there is no C compiler (Rust links with it).
    #[must_use]
    pub fn frozen_at(self, unix_s: u64) -> Self {
        self.env("LD_PRELOAD", &FROZEN_CLOCK.display().to_string()).env("FROZEN_CLOCK_S", &unix_s.to_string())
    }
}

/// The built `frozen_clock.c`, beside the test that needs it.
static FROZEN_CLOCK: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = artefacts::root().join("tests/src/frozen_clock.c");
    let built = env::current_exe().expect("the test's own path").with_extension("frozen_clock.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&built).arg(&source);
    let said = compiler.output().expect("a C compiler, `cc`");
    assert!(said.status.success(), "{compiler:?}: {}", String::from_utf8_lossy(&said.stderr));
    built
});
