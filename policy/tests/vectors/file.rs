//! Vector files: reading them, and building their bodies.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

#[derive(Debug, Deserialize)]
pub(crate) struct VectorFile {
    format: u32,
    pub(crate) scheme: String,
    /// The scheme, as a policy takes it.
    pub(crate) profile: Value,
    pub(crate) vectors: Vec<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) expect: Expect,
    pub(crate) reason: String,
    pub(crate) now: u64,
    pub(crate) secrets: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    body_b64: Option<String>,
    body_gen: Option<Generator>,
    body_sha256: String,
    pub(crate) replay_key: Option<String>,
    pub(crate) same_event_as: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expect {
    Accept,
    Reject,
}

#[derive(Debug, Clone, Deserialize)]
struct Generator {
    unit_b64: String,
    len: usize,
    #[serde(default)]
    xor: Vec<(usize, u8)>,
}

/// Every file of `folder` with a `profile`, by name.
pub(crate) fn read_folder(folder: &Path) -> Vec<VectorFile> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().filter_map(|path| read(path)).collect()
}

fn read(path: &Path) -> Option<VectorFile> {
    let at = path.display();
    let text = fs::read(path).unwrap_or_else(|error| panic!("{at}: {error}"));
    let json: Value = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{at}: {error}"));
    json.get("profile")?;
    let file: VectorFile = serde_json::from_value(json).unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(file.format, 1, "{at}: only format 1 is known");
    Some(file)
}

impl VectorFile {
    /// The vectors, typed: only for schemes that are not skipped, for others have other fields.
    pub(crate) fn typed(&self) -> Vec<Vector> {
        let typed = |vector: &Value| {
            serde_json::from_value(vector.clone()).unwrap_or_else(|error| panic!("{}: {error}", self.scheme))
        };
        self.vectors.iter().map(typed).collect()
    }
}

impl Vector {
    /// The body, checked against its digest.
    pub(crate) fn body(&self) -> Vec<u8> {
        let body = match (&self.body_b64, &self.body_gen) {
            (Some(text), None) => STANDARD.decode(text).unwrap(),
            (None, Some(generator)) => generator.body(),
            _ => panic!("{}: expected either body_b64 or body_gen", self.id),
        };
        let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, self.body_sha256, "{}: not the body that was meant", self.id);
        body
    }
}

impl Generator {
    fn body(&self) -> Vec<u8> {
        let unit = STANDARD.decode(&self.unit_b64).unwrap();
        let mut body: Vec<u8> = unit.iter().copied().cycle().take(self.len).collect();
        for (offset, mask) in &self.xor {
            body[*offset] ^= mask;
        }
        body
    }
}
