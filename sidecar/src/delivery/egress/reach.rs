//! A stream to an endpoint along the route that was judged: straight, or through the proxy.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use url::Host;

use super::dial::{Pipe, dial};
use super::guard::Route;
use super::names::Names;
use super::proxy::{EgressProxy, Protocol, ask};
use super::{CheckedUrl, SendError, tls};
use crate::model::Failure;

/// Addresses that the proxy is asked for, one after another.
const MOST_ASKED: usize = 4;

/// Opens a stream, and says which address is at its end, where we chose it. The time limit is the caller's.
pub(super) async fn reach(
    to: &CheckedUrl,
    route: &Route,
    door: Option<&Door<'_>>,
) -> Result<(Pipe, Option<IpAddr>), SendError> {
    match (route, door) {
        (Route::Direct(addresses), _) => match dial(addresses).await {
            Ok((pipe, address)) => Ok((pipe, Some(address.ip()))),
            Err(error) => Err(SendError::of(Failure::Connect, &error)),
        },
        (Route::Proxied(addresses), Some(door)) => {
            door.to_one_of(addresses).await.map(|(pipe, ip)| (pipe, Some(ip))).map_err(told)
        }
        (Route::Named, Some(door)) => {
            let target = format!("{}:{}", to.host(), to.port);
            door.to(&target).await.map(|pipe| (pipe, None)).map_err(told)
        }
        (Route::Proxied(_) | Route::Named, None) => Err(told(io::Error::other("there is none"))),
    }
}

/// The proxy failed, or could not reach the endpoint: which of the two only its own words tell.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn told(error: io::Error) -> SendError {
    let SendError { failure, detail } = SendError::of(Failure::Connect, &error);
    SendError { failure, detail: format!("egress proxy: {detail}") }
}

/// A proxy, and what it takes to get to it.
pub(super) struct Door<'a> {
    pub(super) proxy: &'a EgressProxy,
    pub(super) names: &'a Names,
    pub(super) tls: &'a Arc<ClientConfig>,
}

impl Door<'_> {
    /// A stream that the proxy has connected to the first of these it can.
    async fn to_one_of(&self, addresses: &[SocketAddr]) -> io::Result<(Pipe, IpAddr)> {
        let mut failure = io::Error::other("no address to ask for");
        for address in addresses.iter().take(MOST_ASKED) {
            match self.to(&address.to_string()).await {
                Ok(pipe) => return Ok((pipe, address.ip())),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn to(&self, target: &str) -> io::Result<Pipe> {
        ask(&self.proxy.url, self.open().await?, target).await
    }

    /// A stream to the proxy itself. The operator named it: its address is not judged.
    async fn open(&self) -> io::Result<Pipe> {
        let url = &self.proxy.url;
        let addresses: Vec<_> = match &url.host {
            Host::Ipv4(ip) => vec![SocketAddr::new((*ip).into(), url.port)],
            Host::Ipv6(ip) => vec![SocketAddr::new((*ip).into(), url.port)],
            Host::Domain(name) => {
                let found = self.names.look_up(name).await.map_err(io::Error::other)?;
                found.iter().map(|ip| SocketAddr::new(*ip, url.port)).collect()
            }
        };
        let (pipe, _) = dial(&addresses).await?;
        match url.protocol {
            Protocol::Http | Protocol::Socks5 => Ok(pipe),
            Protocol::Https => tls::wrap(self.tls, borrowed(&url.host), pipe).await.map(|(pipe, _)| pipe),
        }
    }
}

fn borrowed(host: &Host) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    }
}
