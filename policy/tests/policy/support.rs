//! What the tests share: a good policy, a good request, and counters in memory. Each test changes one thing.

use std::net::IpAddr;

use hookgate_policy::{
    Begin, Counters, CountersError, Header, Key, Next, Policy, PolicyError, Reason, RequestHead, Scheme,
    Shard, UnixMicros, Verdict, Verifier,
};
use serde_json::{Value, json};

pub(crate) const NOW: UnixMicros = UnixMicros(1_760_000_000_000_000);
pub(crate) const NOW_S: u64 = 1_760_000_000;
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const BODY: &[u8] = br#"{"type":"order.paid"}"#;

/// A document with one source, `acme`, of Standard Webhooks, and nothing else.
pub(crate) fn document() -> Value {
    json!({
        "version": 1,
        "sources": [{"name": "acme", "scheme": "standard-webhooks", "secrets": ["env:ACME"]}],
    })
}

/// [`document`] with one thing changed.
pub(crate) fn changed(pointer: &str, value: Value) -> Value {
    let mut document = document();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
    document
}

pub(crate) fn read(document: &Value) -> Result<Policy, PolicyError> {
    Policy::from_json(document.to_string().as_bytes(), &mut |reference| match reference {
        "env:ACME" | "env:OTHER" => Some(SECRET.to_owned()),
        "env:EMPTY" => Some(String::new()),
        "env:NEWLINE" => Some(format!("{SECRET}\n")),
        "env:TEXT" => Some("not base64!".to_owned()),
        _ => None,
    })
}

pub(crate) fn policy(document: &Value) -> Policy {
    read(document).unwrap()
}

pub(crate) fn key(scheme: &Scheme) -> Key {
    scheme.key(SECRET).unwrap()
}

/// A request; good as it comes from [`Request::signed`].
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) end_of_stream: bool,
    pub(crate) now: UnixMicros,
}

impl Request {
    /// What `acme` sends: [`BODY`] with the id `msg_1`, signed now.
    pub(crate) fn signed() -> Self {
        let scheme = Scheme::preset("standard-webhooks").unwrap();
        Self::of(scheme.sign(&[key(&scheme)], "msg_1", NOW_S, BODY))
            .with("content-length", &BODY.len().to_string())
    }

    pub(crate) fn of(headers: Vec<(String, String)>) -> Self {
        Self {
            method: "POST",
            target: "/in/acme".to_owned(),
            headers: headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
            client: "192.0.2.1".parse().ok(),
            end_of_stream: false,
            now: NOW,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn replacing(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    pub(crate) fn begin(&self, policy: &Policy, counters: &mut impl Counters) -> Begin {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| Header { name: name.as_bytes(), value }).collect();
        let head = RequestHead {
            method: self.method.as_bytes(),
            target: self.target.as_bytes(),
            headers: &headers,
            client: self.client,
            end_of_stream: self.end_of_stream,
            entropy: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        };
        policy.begin(&head, self.now, counters)
    }

    /// What becomes of the head alone.
    pub(crate) fn head(&self, policy: &Policy) -> Result<(), Reason> {
        match self.begin(policy, &mut Memory::default()).next {
            Next::Refuse(refusal) => Err(refusal.reason),
            Next::Pass | Next::Verify(_) => Ok(()),
        }
    }

    pub(crate) fn verifier(&self, policy: &Policy) -> Box<Verifier> {
        match self.begin(policy, &mut Memory::default()).next {
            Next::Verify(verifier) => verifier,
            other @ (Next::Refuse(_) | Next::Pass) => panic!("expected a verifier, got {other:?}"),
        }
    }

    /// What becomes of the head and `body`.
    pub(crate) fn send(&self, policy: &Policy, chunks: &[&[u8]]) -> Result<Vec<String>, Reason> {
        let mut verifier = self.verifier(policy);
        for chunk in chunks {
            verifier.update(chunk).map_err(|refusal| refusal.reason)?;
        }
        match verifier.finish(self.now) {
            Verdict::Accept(accepted) => Ok(accepted.replay_keys),
            Verdict::Refuse(refusal) => Err(refusal.reason),
        }
    }
}

/// Counters as a host keeps them.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) shards: Vec<Shard>,
    /// How many swaps others win before ours.
    pub(crate) races: u32,
    pub(crate) swaps: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Self { shards: vec![Shard::default(); Policy::SHARDS.into()], races: 0, swaps: 0 }
    }
}

impl Counters for Memory {
    fn load(&mut self, shard: u16) -> Result<Shard, CountersError> {
        self.shards.get(usize::from(shard)).cloned().ok_or(CountersError)
    }

    fn swap(&mut self, shard: u16, bytes: &[u8], version: u32) -> Result<bool, CountersError> {
        let shard = self.shards.get_mut(usize::from(shard)).ok_or(CountersError)?;
        self.swaps += 1;
        if self.races > 0 {
            self.races -= 1;
            shard.version += 1;
        }
        if shard.version != version {
            return Ok(false);
        }
        *shard = Shard { bytes: bytes.to_vec(), version: version + 1 };
        Ok(true)
    }
}
