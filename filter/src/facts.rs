//! What is known of a request when its headers arrive, read from the host once.

use std::net::{IpAddr, SocketAddr};

use hookgate_policy::{Header, RequestHead};

use crate::host::{Host, HostError, Line, status};

/// The facts of one request's head, owned, so that the policy can look while the host is free for its counters.
#[derive(Debug)]
pub(crate) struct Facts {
    lines: Vec<Line>,
    method: Vec<u8>,
    target: Vec<u8>,
    client: Option<IpAddr>,
    entropy: u128,
}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// When the host fails, or has no method or path: headers that are gone come as "no headers, all well".
    pub(crate) fn read(host: &mut impl Host) -> Result<Self, HostError> {
        let lines = host.request_headers()?;
        let pseudo = |name: &[u8]| {
            let line = lines.iter().find(|(line, _)| line == name);
            line.map(|(_, value)| value.clone())
                .ok_or(HostError { call: "get_header_map_pairs", status: status::EMPTY })
        };
        let (method, target) = (pseudo(b":method")?, pseudo(b":path")?);
        let client = host.property(&["source", "address"])?.and_then(|address| client(&address));
        Ok(Self { lines, method, target, client, entropy: host.entropy()? })
    }

    /// The value of the first line of that name, which is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let line = self.lines.iter().find(|(line, _)| line.eq_ignore_ascii_case(name.as_bytes()));
        line.map(|(_, value)| value.as_slice())
    }

    /// The method, as on the wire.
    pub(crate) fn method(&self) -> &[u8] {
        &self.method
    }

    /// Every line, in the policy's form.
    pub(crate) fn headers(&self) -> Vec<Header<'_>> {
        self.lines.iter().map(|(name, value)| Header { name, value }).collect()
    }

    /// The head, over `headers` from [`Self::headers`].
    pub(crate) fn head<'a>(&'a self, headers: &'a [Header<'a>], end_of_stream: bool) -> RequestHead<'a> {
        RequestHead {
            method: &self.method,
            target: &self.target,
            headers,
            client: self.client,
            end_of_stream,
            entropy: self.entropy,
        }
    }
}

/// The address in `ip:port` or `[ip]:port`; `None` for anything else (a pipe), which shares one bucket.
fn client(address: &[u8]) -> Option<IpAddr> {
    let address: SocketAddr = str::from_utf8(address).ok()?.parse().ok()?;
    Some(address.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::{Facts, client};
    use crate::testing::{Script, request};

    #[test]
    fn the_client_is_read_from_both_address_forms() {
        let table: [(&str, &[u8], Option<&str>); 6] = [
            ("v4", b"192.0.2.7:51000", Some("192.0.2.7")),
            ("v6", b"[2001:db8::7]:51000", Some("2001:db8::7")),
            ("v4 in v6 is v4", b"[::ffff:192.0.2.7]:1", Some("192.0.2.7")),
            ("a pipe", b"/run/envoy.sock", None),
            ("no port", b"192.0.2.7", None),
            ("no text", b"\xff\xfe", None),
        ];
        for (promise, address, expected) in table {
            assert_eq!(client(address), expected.map(|ip| ip.parse().unwrap()), "{promise}");
        }
    }

    #[test]
    fn headers_that_are_gone_are_an_error() {
        for missing in [":method", ":path"] {
            let mut host = Script { lines: request("/in/demo"), ..Script::default() };
            host.lines.retain(|(name, _)| name != missing.as_bytes());
            Facts::read(&mut host).unwrap_err();
        }
        Facts::read(&mut Script::default()).unwrap_err();
    }
}
