//! A TCP proxy between real parts that breaks and mends at a word.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::TcpServer;

/// What the proxy does to every connection, those it has and those to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: bytes pass.
    #[default]
    None,
    /// Resets the connections it has, and new ones as soon as they come.
    Cut,
    /// Accepts, and lets no byte pass in either direction.
    Blackhole,
    /// Holds every portion back for this long.
    Delay(Duration),
    /// Lets requests pass, and ends the way back as if the server had closed its side.
    HalfClose,
}

/// A proxy on a free port of 127.0.0.1. Ends when dropped, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    server: TcpServer,
    fault: watch::Sender<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl Proxy {
    /// Starts one in front of `target`, without a fault.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(target: SocketAddr) -> Self {
        let (fault, faults) = watch::channel(Fault::None);
        let server = TcpServer::start(move |near| pass(near, target, faults.clone())).await;
        Self { server, fault }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Breaks, or mends with [`Fault::None`]. Connections that were cut stay cut.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

/// One connection: both ways until both ended, or until it is cut.
async fn pass(mut near: TcpStream, target: SocketAddr, mut faults: watch::Receiver<Fault>) {
    let connected = if *faults.borrow() == Fault::Cut { None } else { TcpStream::connect(target).await.ok() };
    let Some(mut far) = connected else {
        return near.set_zero_linger().expect("an open socket");
    };
    let cut = {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        let there = pump(near_read, far_write, Way::There, faults.clone());
        let back = pump(far_read, near_write, Way::Back, faults.clone());
        tokio::select! {
            ((), ()) = async { tokio::join!(there, back) } => false,
            cut = faults.wait_for(|fault| *fault == Fault::Cut) => cut.is_ok(),
        }
    };
    if cut {
        near.set_zero_linger().and(far.set_zero_linger()).expect("open sockets");
    }
}

/// One way, portion by portion, until it ends.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: Way, mut faults: watch::Receiver<Fault>) {
    let mut portion = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut portion) => read.unwrap_or(0),
            _ = faults.wait_for(|fault| ends(way, *fault)) => 0,
        };
        if read == 0 || !may_pass(way, &mut faults).await {
            break;
        }
        if to.write_all(&portion[..read]).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}

fn ends(way: Way, fault: Fault) -> bool {
    way == Way::Back && fault == Fault::HalfClose
}

/// Waits as the present fault demands; `false` when this way is over.
async fn may_pass(way: Way, faults: &mut watch::Receiver<Fault>) -> bool {
    let passing = faults.wait_for(|fault| *fault != Fault::Blackhole).await;
    let Ok(fault) = passing.map(|fault| *fault) else {
        return false;
    };
    if let Fault::Delay(pause) = fault {
        sleep(pause).await;
    }
    !ends(way, fault)
}
