//! A host that plays what a test wrote down and remembers what the filter did to it.

use std::collections::BTreeMap;

use hookgate_policy::UnixMicros;

use crate::host::status::{BAD_ARGUMENT, NOT_FOUND};
use crate::host::{Host, HostError, Level, Line, MetricId, Reply};

/// The secret of the source `demo`.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The policy that tests drive, with one source. Its secret is in [`Script::variables`].
pub(crate) fn policy(mode: &str, host: &str) -> String {
    format!(
        r#"{{"version":1,"gateway":{{"mode":"{mode}","host":"{host}"}},"max_body_bytes":64,
            "passthrough":["/v1/events"],
            "sources":[{{"name":"demo","scheme":"standard-webhooks","secrets":["env:HOOKGATE_SECRET_DEMO"]}}]}}"#
    )
}

/// A POST for `target`, as a host shows it.
pub(crate) fn request(target: &str) -> Vec<Line> {
    let lines = [(":method", "POST"), (":path", target), (":scheme", "http"), (":authority", "gateway.test")];
    lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// The host.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) now: UnixMicros,
    pub(crate) configuration: Vec<u8>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) lines: Vec<Line>,
    /// What the host holds of the request's body.
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
    pub(crate) shared: BTreeMap<String, (Vec<u8>, u32)>,
    pub(crate) response: Vec<(String, String)>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) counters: Vec<(String, u64)>,
    pub(crate) log: Vec<(Level, String)>,
    /// How many bytes of the body were copied out.
    pub(crate) copied: usize,
    /// Calls by this name fail.
    pub(crate) broken: Option<&'static str>,
    /// The request's headers went on: they are neither readable nor writable.
    pub(crate) headers_gone: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            now: UnixMicros(1_760_000_000_000_000),
            configuration: Vec::new(),
            variables: BTreeMap::from([("HOOKGATE_SECRET_DEMO".to_owned(), SECRET.to_owned())]),
            lines: Vec::new(),
            body: Vec::new(),
            properties: BTreeMap::from([("source.address".to_owned(), b"192.0.2.7:51000".to_vec())]),
            shared: BTreeMap::new(),
            response: Vec::new(),
            replies: Vec::new(),
            counters: Vec::new(),
            log: Vec::new(),
            copied: 0,
            broken: None,
            headers_gone: false,
        }
    }
}

impl Script {
    /// Replaces a request header's lines by one.
    pub(crate) fn set_line(&mut self, name: &str, value: &str) {
        self.lines.retain(|(line, _)| line != name.as_bytes());
        self.lines.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }

    /// How often a counter was counted.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        self.counters.iter().filter(|(counter, _)| counter == name).map(|(_, count)| *count).sum()
    }

    /// Whether a log line holds that text.
    pub(crate) fn logged(&self, text: &str) -> bool {
        self.log.iter().any(|(_, line)| line.contains(text))
    }

    /// Fails when the test said so.
    fn call(&self, call: &'static str) -> Result<(), HostError> {
        if self.broken == Some(call) { Err(HostError { call, status: BAD_ARGUMENT }) } else { Ok(()) }
    }
}

impl Host for Script {
    fn now(&mut self) -> Result<UnixMicros, HostError> {
        self.call("now").map(|()| self.now)
    }

    fn entropy(&mut self) -> Result<u128, HostError> {
        self.call("entropy").map(|()| 0x1234_5678_9abc_def0_1234_5678_9abc_def0)
    }

    fn configuration(&mut self, len: usize) -> Result<Vec<u8>, HostError> {
        self.call("configuration")?;
        Ok(self.configuration[..len].to_vec())
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn log(&mut self, level: Level, line: &str) {
        self.log.push((level, line.to_owned()));
    }

    fn request_headers(&mut self) -> Result<Vec<Line>, HostError> {
        self.call("request_headers")?;
        Ok(if self.headers_gone { Vec::new() } else { self.lines.clone() })
    }

    fn set_request_header(&mut self, name: &str, value: &str) -> Result<(), HostError> {
        self.call("set_request_header")?;
        if self.headers_gone {
            return Err(HostError { call: "set_request_header", status: BAD_ARGUMENT });
        }
        self.set_line(name, value);
        Ok(())
    }

    fn remove_request_header(&mut self, name: &str) -> Result<(), HostError> {
        self.call("remove_request_header")?;
        self.lines.retain(|(line, _)| !line.eq_ignore_ascii_case(name.as_bytes()));
        Ok(())
    }

    fn request_body(&mut self, start: usize, max: usize) -> Result<Vec<u8>, HostError> {
        self.call("request_body")?;
        let rest = self.body.get(start..).unwrap_or_default();
        let chunk = rest[..rest.len().min(max)].to_vec();
        self.copied += chunk.len();
        Ok(chunk)
    }

    fn set_response_header(&mut self, name: &str, value: &str) -> Result<(), HostError> {
        self.call("set_response_header")?;
        self.response.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn property(&mut self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        self.call("property")?;
        Ok(self.properties.get(&path.join(".")).cloned())
    }

    fn reply(&mut self, reply: &Reply) -> Result<(), HostError> {
        self.call("reply")?;
        self.replies.push(reply.clone());
        Ok(())
    }

    fn shared(&mut self, key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
        self.call("shared")?;
        Ok(self.shared.get(key).cloned())
    }

    fn swap_shared(&mut self, key: &str, value: &[u8], version: u32) -> Result<bool, HostError> {
        self.call("swap_shared")?;
        let next = match self.shared.get(key) {
            Some((_, known)) if *known != version => return Ok(false),
            Some((_, known)) => known + 1,
            None => 1,
        };
        self.shared.insert(key.to_owned(), (value.to_vec(), next));
        Ok(true)
    }

    fn counter(&mut self, name: &str) -> Result<MetricId, HostError> {
        self.call("counter")?;
        self.counters.push((name.to_owned(), 0));
        Ok(MetricId(u32::try_from(self.counters.len() - 1).unwrap()))
    }

    fn increment(&mut self, metric: MetricId) -> Result<(), HostError> {
        let missing = HostError { call: "increment", status: NOT_FOUND };
        let (_, count) = self.counters.get_mut(metric.0 as usize).ok_or(missing)?;
        *count += 1;
        Ok(())
    }
}
