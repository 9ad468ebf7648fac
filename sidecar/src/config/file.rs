//! The configuration file: TOML, unknown keys refused with file, line and key.

use std::path::Path;

use super::{Config, ConfigError, Surroundings};

/// Reads a file over the defaults. Paths in it are relative to its folder.
pub(super) fn read(path: &Path, around: &Surroundings<'_>) -> Result<Config, ConfigError> {
    let text = around.text(path, "--config or HOOKGATE_CONFIG")?;
    let mut config = parse(&text, path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let secrets = [&mut config.api_key_file, &mut config.seal_keys_file, &mut config.policy];
    let certificates = [&mut config.redis_ca_file, &mut config.redis_cert_file, &mut config.redis_key_file];
    for inner in secrets.into_iter().chain(certificates).flatten() {
        *inner = folder.join(&*inner);
    }
    config.store = config.store.beneath(folder);
    Ok(config)
}

fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let refuse = |error: &toml::de::Error, key: String| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let problem = without_values(error.message());
        ConfigError::File { file: path.display().to_string(), line, column, key, problem }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| refuse(&error, ".".to_owned()))?;
    serde_path_to_error::deserialize(document)
        .map_err(|error| refuse(error.inner(), error.path().to_string()))
}

/// Line and column, both from 1, of a byte.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let column = before.get(line_start..).map_or(0, |line| line.chars().count());
    (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
}

/// The message without the text it found: that may be a secret in the wrong place.
fn without_values(message: &str) -> String {
    match (message.find("string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => {
            let (head, tail) = (message.get(..start).unwrap_or(""), message.get(end..).unwrap_or(""));
            format!("{head}string{}", tail.trim_start_matches('"'))
        }
        _ => message.trim().replace('\n', " "),
    }
}
