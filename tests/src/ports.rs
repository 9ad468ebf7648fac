//! Ports for servers that are stopped and started again on the same one.
//!
//! While such a server is down, the kernel may give a port of its ephemeral range to anybody's outgoing connection,
//! and the restart fails. These ports lie below that range, and are held by a lock over all suites of the machine.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Above what is commonly served, below where the kernel's ephemeral ports begin (32768).
const FIRST: u16 = 10_240;
const COUNT: u16 = 20_480;

/// A port of 127.0.0.1 that is nobody else's until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Ends with the process, however that ends; the empty file behind it stays.
    _held: File,
}

impl Port {
    /// Takes one that nothing listens on.
    ///
    /// # Panics
    /// When there is none, or no file can be made in the temporary folder.
    #[must_use]
    pub fn reserve() -> Self {
        let folder = std::env::temp_dir().join("hookgate-ports");
        fs::create_dir_all(&folder).expect("a folder for the locks");
        let anywhere = u16::try_from(RandomState::new().hash_one(0) % u64::from(COUNT)).expect("below COUNT");
        let numbers = (0..COUNT).map(|step| FIRST + (anywhere + step) % COUNT);
        let mut free = numbers.filter_map(|number| {
            let held = File::create(folder.join(number.to_string())).expect("a lock's file");
            held.try_lock().ok()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            Some(Self { number, _held: held })
        });
        free.next().expect("a free port")
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Where a server on it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_nobody_elses_until_it_is_dropped() {
        let ports: Vec<_> = (0..50).map(|_| Port::reserve()).collect();
        let numbers: std::collections::BTreeSet<_> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
        let lock =
            || File::open(std::env::temp_dir().join("hookgate-ports").join(ports[0].number().to_string()));
        assert!(lock().unwrap().try_lock().is_err());
    }

    #[test]
    fn no_outgoing_connection_is_given_one() {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        assert!(FIRST + COUNT <= first, "ephemeral ports begin at {first}");
    }
}
