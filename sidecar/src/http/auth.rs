//! Who may use the API: whoever has the key; without a key, this machine's own clients.

use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;

use super::Problem;
use crate::config::ApiKey;

/// What proxies add to a request that they pass on; one of them is enough to tell that it was.
const FORWARDED: [&str; 9] = [
    "forwarded",
    "via",
    "x-envoy-external-address",
    "x-envoy-expected-rq-timeout-ms",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-kong-request-id",
    "x-real-ip",
];

/// Asks for the key if there is one. Without, the listener is on loopback, and what is left to keep out is what a
/// gateway beside us forwards, which comes from anybody, and a browser that another site talked into asking.
pub(super) fn admit(parts: &Parts, key: Option<&ApiKey>) -> Result<(), Problem> {
    match key {
        Some(key) if offered(parts).is_some_and(|offered| key.is(offered)) => Ok(()),
        Some(_) => Err(Problem::Unauthorized),
        None if FORWARDED.iter().any(|name| parts.headers.contains_key(*name)) => Err(Problem::Unauthorized),
        None if is_cross_site(parts) || !is_addressed_locally(parts) => Err(Problem::CrossSite),
        None => Ok(()),
    }
}

/// The bearer token, if there is exactly one authorisation.
fn offered(parts: &Parts) -> Option<&[u8]> {
    let mut lines = parts.headers.get_all(AUTHORIZATION).into_iter();
    let (line, None) = (lines.next()?.as_bytes(), lines.next()) else { return None };
    let (scheme, token) = line.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

fn is_cross_site(parts: &Parts) -> bool {
    let site = parts.headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// Whether the request is addressed to this machine by address or as `localhost`. A page that rebinds its own name
/// to a loopback address asks under its own name.
fn is_addressed_locally(parts: &Parts) -> bool {
    let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = parts.uri.host().or(header) else { return true };
    let name = url::Url::parse(&format!("http://{host}/"));
    match name.as_ref().ok().and_then(url::Url::host) {
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/v1/events");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_the_key_opens() {
        let table: [(&[(&str, &str)], bool); 9] = [
            (&[("authorization", "Bearer right")], true),
            (&[("authorization", "bearer right")], true),
            (&[], false),
            (&[("authorization", "Bearer wrong")], false),
            (&[("authorization", "Bearer righ")], false),
            (&[("authorization", "Bearer right ")], false),
            (&[("authorization", "Bearer")], false),
            (&[("authorization", "Basic right")], false),
            (&[("authorization", "Bearer right"), ("authorization", "Bearer right")], false),
        ];
        let key = ApiKey::new("right").unwrap();
        for (headers, opens) in table {
            assert_eq!(admit(&request(headers), Some(&key)).is_ok(), opens, "{headers:?}");
        }
    }

    #[test]
    fn without_a_key_another_site_is_kept_out() {
        let table =
            [(None, true), (Some("none"), true), (Some("same-origin"), true), (Some("cross-site"), false)];
        for (site, opens) in table {
            let headers: Vec<_> = site.map(|site| ("sec-fetch-site", site)).into_iter().collect();
            assert_eq!(admit(&request(&headers), None).is_ok(), opens, "{site:?}");
        }
    }

    #[test]
    fn without_a_key_whatever_a_proxy_marked_is_kept_out() {
        for name in FORWARDED {
            assert_eq!(admit(&request(&[(name, "")]), None), Err(Problem::Unauthorized), "{name}");
        }
        let key = ApiKey::new("right").unwrap();
        let forwarded = request(&[("x-forwarded-for", "203.0.113.7"), ("authorization", "Bearer right")]);
        assert_eq!(admit(&forwarded, Some(&key)), Ok(()));
    }

    #[test]
    fn a_rebound_name_is_told_apart() {
        let table = [
            ("127.0.0.1:8701", true),
            ("[::1]:8701", true),
            ("localhost:8701", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("a b", false),
        ];
        for (host, local) in table {
            assert_eq!(is_addressed_locally(&request(&[("host", host)])), local, "{host}");
        }
    }
}
