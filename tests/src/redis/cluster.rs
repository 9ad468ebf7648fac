//! A cluster: three primaries and a replica of each, which know each other from the start.

use super::{BOUND, Persistence, Redis, folder, owned};
use crate::ports::Port;
use crate::{artefacts, wait_until};

/// Primaries; each has one replica.
const PRIMARIES: usize = 3;
/// When the nodes give one up, milliseconds: a failover takes about twice that.
const NODE_TIMEOUT: &str = "2000";

/// Six nodes. Killed when dropped.
#[derive(Debug)]
pub struct Cluster {
    /// The first three began as primaries, each of the others as the replica of the one three before it.
    nodes: Vec<Redis>,
    /// The ports on which they speak to each other.
    _buses: Vec<Port>,
}

impl Cluster {
    /// Starts all and waits until the cluster serves and could lose a primary: about two seconds.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start() -> Self {
        let ports: Vec<(Port, Port)> =
            (0..2 * PRIMARIES).map(|_| (Port::reserve(), Port::reserve())).collect();
        let numbers: Vec<(u16, u16)> =
            ports.iter().map(|(port, bus)| (port.number(), bus.number())).collect();
        let (mut nodes, mut buses) = (Vec::new(), Vec::new());
        for (me, (port, bus)) in ports.into_iter().enumerate() {
            let folder = folder();
            std::fs::write(folder.path().join("nodes.conf"), acquaintance(&numbers, me))
                .expect("a file in an own folder");
            nodes.push(Redis::spawn(artefacts::redis_server(), port, folder, arguments(bus.number())));
            buses.push(bus);
        }
        for node in &mut nodes {
            assert!(node.came_up().await, "a reserved port was taken");
        }
        let cluster = Self { nodes, _buses: buses };
        cluster.healthy().await;
        for replica in &cluster.nodes[PRIMARIES..] {
            replica.info_says("replication", "master_link_status:up").await;
        }
        cluster
    }

    /// `redis+cluster://…`, with all of them.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| node.address().to_string()).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// All of its nodes.
    pub fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// The primary that serves a key now.
    ///
    /// # Panics
    /// When none does in time.
    pub async fn primary_of(&mut self, key: &str) -> &mut Redis {
        let number = wait_until(&format!("primary of {key}"), BOUND, || async {
            for (number, node) in self.nodes.iter().enumerate() {
                let (role, answer) = (node.is_primary().await, node.try_command(&["EXISTS", key]).await);
                if role && answer.is_ok_and(|answer| answer.parse::<u8>().is_ok()) {
                    return Ok(number);
                }
            }
            Err("no node serves it")
        })
        .await;
        &mut self.nodes[number]
    }

    /// Kills the primary that serves a key; its replica will be promoted within about five seconds.
    pub async fn kill_primary(&mut self, key: &str) {
        self.primary_of(key).await.kill();
    }

    /// Empties all of it.
    pub async fn flush_all(&self) {
        for node in &self.nodes {
            if node.is_primary().await {
                assert_eq!(node.command(&["FLUSHALL"]).await, "OK");
            }
        }
    }

    /// Waits until every node that runs calls the cluster whole.
    pub async fn healthy(&self) {
        wait_until("whole cluster", BOUND, || async {
            for node in &self.nodes {
                match node.try_command(&["CLUSTER", "INFO"]).await {
                    Ok(info) if !info.contains("cluster_state:ok") => return Err(info),
                    Ok(_) | Err(_) => {}
                }
            }
            Ok(())
        })
        .await;
    }

    /// Starts again what was killed.
    pub async fn restart_killed(&mut self) {
        for node in &mut self.nodes {
            if node.process().ended().is_some() {
                node.restart().await;
            }
        }
    }
}

fn arguments(bus: u16) -> Vec<String> {
    let mut arguments = Persistence::Always.arguments();
    arguments.extend(owned(&["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]));
    arguments.extend(owned(&[
        "--cluster-node-timeout",
        NODE_TIMEOUT,
        "--cluster-replica-validity-factor",
        "0",
    ]));
    arguments.extend(owned(&["--cluster-port", &bus.to_string()]));
    arguments
}

/// What a node writes of the cluster for its next start, written before its first.
fn acquaintance(ports: &[(u16, u16)], me: usize) -> String {
    let share = 16_384_usize.div_ceil(PRIMARIES);
    let mut lines = String::new();
    for (number, (port, bus)) in ports.iter().enumerate() {
        let (myself, epoch) = (if number == me { "myself," } else { "" }, number % PRIMARIES + 1);
        let role = match number.checked_sub(PRIMARIES) {
            None => {
                let last = ((number + 1) * share).min(16_384) - 1;
                format!("{myself}master - 0 0 {epoch} connected {}-{last}", number * share)
            }
            Some(primary) => format!("{myself}slave {} 0 0 {epoch} connected", id(primary)),
        };
        lines.push_str(&format!("{} 127.0.0.1:{port}@{bus} {role}\n", id(number)));
    }
    format!("{lines}vars currentEpoch {PRIMARIES} lastVoteEpoch 0\n")
}

fn id(number: usize) -> String {
    format!("{:040x}", number + 1)
}
