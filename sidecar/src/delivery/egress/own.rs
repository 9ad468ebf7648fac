//! The addresses that this process itself listens on: no delivery may reach them, even where loopback is allowed.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};

/// A set of listeners, shared by its clones, so that it can be filled once they are bound.
#[derive(Debug, Clone, Default)]
pub struct OwnListeners(Arc<RwLock<Vec<SocketAddr>>>);

impl OwnListeners {
    /// Adds a listener, by the address it got. `0.0.0.0` and `[::]` stand for every address of this machine.
    pub fn add(&self, listener: SocketAddr) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Whether a connection to `address` and `port` would end at one of them. For a listener on every address this
    /// asks the machine whether the address is one of its own.
    pub(super) fn contain(&self, address: IpAddr, port: u16) -> bool {
        let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().any(|own| {
            own.port() == port
                && (own.ip() == address
                    || address.is_unspecified()
                    || own.ip().is_unspecified() && is_ours(address))
        })
    }
}

/// Whether an address belongs to this machine: only such a one can be bound.
fn is_ours(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_known_by_every_address_that_reaches_it() {
        let own = OwnListeners::default();
        own.add("127.0.0.1:8701".parse().unwrap());
        own.add("0.0.0.0:8700".parse().unwrap());
        for (address, expected) in [
            ("127.0.0.1:8701", true),
            ("0.0.0.0:8701", true),
            ("127.0.0.1:8702", false),
            ("127.0.0.2:8701", false),
            ("127.0.0.2:8700", true),
            ("1.1.1.1:8700", false),
        ] {
            let socket: SocketAddr = address.parse().unwrap();
            assert_eq!(own.contain(socket.ip(), socket.port()), expected, "{address}");
        }
    }
}
