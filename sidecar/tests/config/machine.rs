//! A machine as the configuration sees it: variables and files, none of them real.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hookgate_sidecar::config::{ConfigError, Loaded, Surroundings, load};

/// A secret in the wrong place: no refusal may show it.
pub const CANARY: &str = "canary-5f2e";
/// A sound signing secret.
pub const WHSEC: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

/// A machine: its variables and its files.
#[derive(Default)]
pub struct Machine {
    pub variables: BTreeMap<&'static str, String>,
    pub files: BTreeMap<&'static str, String>,
}

impl Machine {
    pub fn with(variables: &[(&'static str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { variables, ..Self::default() }
    }

    pub fn file(mut self, path: &'static str, text: &str) -> Self {
        self.files.insert(path, text.to_owned());
        self
    }

    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let variable = |name: &str| self.variables.get(name).cloned();
        let read = |path: &Path| {
            let path = path.to_str().unwrap();
            self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        load(None, &Surroundings { variable: &variable, read: &read })
    }

    pub fn refusal(&self) -> String {
        let refusal = self.load().unwrap_err();
        format!("{refusal} {refusal:?}")
    }
}

/// A machine with this configuration file.
pub fn file(text: &str) -> Machine {
    Machine::with(&[("HOOKGATE_CONFIG", "etc/hookgate.toml")]).file("etc/hookgate.toml", text)
}
