//! A primary, its replica, and three Sentinels that replace the one by the other.

use std::path::Path;

use super::{BOUND, Persistence, Redis, folder, owned};
use crate::ports::Port;
use crate::{artefacts, wait_until};

/// What the Sentinels call the primary.
const NAME: &str = "main";

/// Three Sentinels over two servers. Killed when dropped.
#[derive(Debug)]
pub struct Sentinel {
    servers: [Redis; 2],
    sentinels: [Redis; 3],
}

impl Sentinel {
    /// Starts all and waits until the Sentinels would agree on a failover: about two seconds.
    ///
    /// # Panics
    /// When they do not come up.
    pub async fn start() -> Self {
        let primary = Redis::start(Persistence::Always).await;
        let replica = primary.start_replica().await;
        let watch = primary.address().port();
        let sentinels = [watcher(watch).await, watcher(watch).await, watcher(watch).await];
        for sentinel in &sentinels {
            wait_until("quorum of the Sentinels", BOUND, || async {
                let said = sentinel.command(&["SENTINEL", "CKQUORUM", NAME]).await;
                if said.starts_with("OK 3 usable") { Ok(()) } else { Err(said) }
            })
            .await;
            // one that has not heard of the replica yet cannot promote it
            let masters = format!("address=127.0.0.1:{watch},slaves=1,sentinels=3");
            sentinel.info_says("sentinel", &masters).await;
        }
        Self { servers: [primary, replica], sentinels }
    }

    /// `redis+sentinel://…`, with all of them.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|sentinel| sentinel.address().to_string()).collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    /// The server that the Sentinels call the primary, and that calls itself so.
    ///
    /// # Panics
    /// When none does in time.
    pub async fn primary(&mut self) -> &mut Redis {
        let number = wait_until("primary", BOUND, || async {
            let said =
                self.sentinels[0].try_command(&["INFO", "sentinel"]).await.map_err(|e| e.to_string())?;
            for (number, server) in self.servers.iter().enumerate() {
                if said.contains(&format!("address={},", server.address())) && server.is_primary().await {
                    return Ok(number);
                }
            }
            Err(said)
        })
        .await;
        &mut self.servers[number]
    }

    /// Kills the primary; its replica will be promoted within about two seconds.
    pub async fn kill_primary(&mut self) {
        self.primary().await.kill();
    }

    /// Asks the Sentinels to swap the two, and does not wait for it: the old primary lives on and is demoted.
    pub async fn swap(&self) {
        self.sentinels[0].command(&["SENTINEL", "FAILOVER", NAME]).await;
    }

    /// Starts again what was killed; the Sentinels make it a replica.
    pub async fn restart_killed(&mut self) {
        for server in &mut self.servers {
            if server.process().ended().is_some() {
                server.restart().await;
            }
        }
    }
}

async fn watcher(port: u16) -> Redis {
    let (own, folder) = (Port::reserve(), folder());
    let file = folder.path().join("sentinel.conf");
    write(&file, port);
    let mut sentinel = Redis::spawn(
        artefacts::redis_server(),
        own,
        folder,
        owned(&[&file.display().to_string(), "--sentinel"]),
    );
    assert!(sentinel.came_up().await, "a reserved port was taken");
    sentinel
}

fn write(file: &Path, port: u16) {
    let text = format!(
        "sentinel monitor {NAME} 127.0.0.1 {port} 2\nsentinel down-after-milliseconds {NAME} 500\n\
         sentinel failover-timeout {NAME} 2000\n"
    );
    std::fs::write(file, text).expect("a file in an own folder");
}
