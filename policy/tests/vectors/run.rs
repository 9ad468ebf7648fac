//! Judging vectors: each through the whole policy, from its document to the verdict.

use std::collections::{BTreeMap, BTreeSet};

use hookgate_policy::{
    Accepted, Counters, CountersError, Header, Next, Policy, PolicyError, Reason, RequestHead, Scheme, Shard,
    UnixMicros, Verdict,
};
use serde_json::json;

use crate::file::{Expect, Vector, VectorFile};

/// The sizes of chunks that bodies are fed in; the last takes all at once.
const CHUNKS: [usize; 5] = [1, 7, 64, 4_096, usize::MAX];

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) skipped: usize,
    /// One line each.
    pub(crate) failures: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.skipped += other.skipped;
        self.failures.extend_from_slice(&other.failures);
    }
}

/// What the policy made of a vector: the message, or the reason's label (`bad_secret` for a refused policy).
type Outcome = Result<Accepted, &'static str>;

/// Runs every vector of a file, or skips them all where the policy has no such scheme.
pub(crate) fn run(file: &VectorFile) -> Report {
    let mut report = Report::default();
    if !is_supported(file) {
        report.skipped = file.vectors.len();
        return report;
    }
    let vectors = file.typed();
    let outcomes: BTreeMap<_, _> =
        vectors.iter().map(|vector| (vector.id.as_str(), judge(file, vector))).collect();
    for vector in &vectors {
        match check(vector, &outcomes) {
            Ok(()) => report.passed += 1,
            Err(problem) => report.failures.push(format!("{}: {problem}", vector.id)),
        }
    }
    report
}

/// A preset must be what its vectors were made with; a profile that no preset has runs as a custom scheme.
fn is_supported(file: &VectorFile) -> bool {
    let custom: Option<Scheme> = serde_json::from_value(file.profile.clone()).ok();
    if let Some(preset) = Scheme::preset(&file.scheme) {
        assert_eq!(Some(preset), custom, "{}: the preset is not its vectors' profile", file.scheme);
    }
    custom.is_some()
}

fn check(vector: &Vector, outcomes: &BTreeMap<&str, Result<Outcome, String>>) -> Result<(), String> {
    let outcome = outcomes.get(vector.id.as_str()).ok_or("two vectors of one id")?.clone()?;
    match (vector.expect, outcome) {
        (Expect::Accept, Ok(accepted)) => check_replay(vector, &accepted, outcomes),
        (Expect::Reject, Err(reason))
            if group(reason).intersection(&group(&vector.reason)).next().is_some() =>
        {
            Ok(())
        }
        (expect, outcome) => Err(format!("expected {expect:?} ({}), got {outcome:?}", vector.reason)),
    }
}

/// The event's identity is the vector's, and that of any vector that is the same event.
fn check_replay(
    vector: &Vector,
    accepted: &Accepted,
    outcomes: &BTreeMap<&str, Result<Outcome, String>>,
) -> Result<(), String> {
    let keys: BTreeSet<_> = accepted.replay_keys.iter().map(|key| key.replace("mac:", "sig:")).collect();
    if vector.replay_key.as_ref().is_some_and(|key| !keys.contains(key)) {
        return Err(format!("expected the replay key {:?}, got {keys:?}", vector.replay_key));
    }
    let Some(other) = &vector.same_event_as else { return Ok(()) };
    let Some(Ok(Ok(first))) = outcomes.get(other.as_str()) else {
        return Err(format!("{other} is not accepted"));
    };
    let known: BTreeSet<_> = first.replay_keys.iter().collect();
    match accepted.replay_keys.iter().any(|key| known.contains(key)) {
        true => Ok(()),
        false => Err(format!("not known as a replay of {other}")),
    }
}

/// Reasons between which the order of checks decides. An unusable secret is as good as a signature that never fits.
fn group(reason: &str) -> BTreeSet<&'static str> {
    let groups: &[&'static str] = match reason {
        "missing_header" | "duplicate_header" | "malformed_header" => &["header"],
        "malformed_timestamp" | "timestamp_too_old" | "timestamp_in_future" => &["time"],
        "malformed_id" | "ambiguous_id" => &["id"],
        "no_signature" | "bad_signature" => &["signature"],
        "bad_secret" => &["secret", "signature"],
        _ => &[],
    };
    groups.iter().copied().collect()
}

/// Judges a vector under every cut of its body; a verdict that depends on the cut is an error.
fn judge(file: &VectorFile, vector: &Vector) -> Result<Outcome, String> {
    let Ok(policy) = policy(file, vector) else { return Ok(Err("bad_secret")) };
    let body = vector.body();
    let outcomes = CHUNKS.map(|size| verdict(&policy, vector, &body, size));
    let [first, rest @ ..] = &outcomes;
    match rest.iter().all(|outcome| outcome == first) {
        true => Ok(first.clone()),
        false => Err(format!("the verdict depends on the chunks: {outcomes:?}")),
    }
}

fn policy(file: &VectorFile, vector: &Vector) -> Result<Policy, PolicyError> {
    let references: Vec<_> = (0..vector.secrets.len()).map(|at| format!("env:SECRET_{at}")).collect();
    let preset = Scheme::preset(&file.scheme).map(|_| json!(file.scheme));
    let scheme = preset.unwrap_or_else(|| file.profile.clone());
    let document = json!({
        "version": 1,
        "sources": [{"name": "vector", "scheme": scheme, "secrets": references, "max_body_bytes": 2_097_152}],
    });
    let resolve = &mut |wanted: &str| {
        let at = references.iter().position(|reference| reference == wanted)?;
        vector.secrets.get(at).cloned()
    };
    let policy = Policy::from_json(document.to_string().as_bytes(), resolve);
    if let Err(error) = &policy {
        assert!(error.path.starts_with("sources[0].secrets["), "{}: {error}", vector.id);
    }
    policy
}

fn verdict(policy: &Policy, vector: &Vector, body: &[u8], chunk_size: usize) -> Outcome {
    let now = UnixMicros(vector.now * 1_000_000);
    let headers: Vec<_> = vector.headers.iter().map(|(name, value)| header(name, value)).collect();
    let head = RequestHead {
        method: b"POST",
        target: b"/in/vector",
        headers: &headers,
        client: None,
        end_of_stream: body.is_empty(),
        entropy: 0,
    };
    let mut verifier = match policy.begin(&head, now, &mut NoCounters).next {
        Next::Verify(verifier) => verifier,
        Next::Refuse(refusal) => return Err(refusal.reason.label()),
        Next::Pass => panic!("{}: passed unjudged", vector.id),
    };
    for chunk in body.chunks(chunk_size) {
        verifier.update(chunk).map_err(|refusal| refusal.reason.label())?;
    }
    match verifier.finish(now) {
        Verdict::Accept(accepted) => Ok(accepted),
        Verdict::Refuse(refusal) => Err(Reason::label(refusal.reason)),
    }
}

fn header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    Header { name: name.as_bytes(), value: value.as_bytes() }
}

/// Without a rate limit nobody asks.
struct NoCounters;

impl Counters for NoCounters {
    fn load(&mut self, _shard: u16) -> Result<Shard, CountersError> {
        Err(CountersError)
    }

    fn swap(&mut self, _shard: u16, _bytes: &[u8], _version: u32) -> Result<bool, CountersError> {
        Err(CountersError)
    }
}
