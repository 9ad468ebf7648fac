//! Looks whether the tour's ports are free before anything is started.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("port {port} of 127.0.0.1 cannot be had: {source}; choose another with {flag} PORT")]
pub(crate) struct Taken {
    /// The flag that chooses it.
    pub(crate) flag: &'static str,
    /// Which one.
    pub(crate) port: u16,
    /// What the system said.
    pub(crate) source: io::Error,
}

/// Takes every port at once, so that one named twice is found as well, and lets them go.
///
/// # Errors
/// The first that somebody else holds. Between this look and the real start another process may still take one; then
/// Envoy or the sidecar says so itself.
pub(crate) fn check(ports: &[(&'static str, u16)]) -> Result<(), Taken> {
    let take = |&(flag, port): &(&'static str, u16)| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| Taken { flag, port, source })
    };
    ports.iter().map(take).collect::<Result<Vec<_>, _>>().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_held_is_named_with_its_flag() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let taken = check(&[("--data-port", 0), ("--admin-port", port)]).unwrap_err();
        assert_eq!((taken.flag, taken.port), ("--admin-port", port));
        assert!(taken.to_string().contains(&port.to_string()), "{taken}");
    }

    #[test]
    fn one_port_for_two_flags_is_found_before_the_start() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let taken = check(&[("--envoy-port", port), ("--data-port", port)]).unwrap_err();
        assert_eq!(taken.flag, "--data-port");
    }

    #[test]
    fn zero_is_always_free() {
        check(&[("--envoy-port", 0), ("--data-port", 0)]).unwrap();
    }
}
