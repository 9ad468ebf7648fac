//! The primary lost: Sentinels promote its replica, a cluster the replica of one of its primaries.
//!
//! Replication is not awaited by Redis: what the old primary answered in its last moment may not have reached the
//! replica. A 202 therefore waits here for one replica as well (`redis_wait_replicas`), as whoever must lose nothing
//! over a failover has to set it. What was answered 503 for want of a replica may have been delivered all the same, and be
//! gone with the old primary: its producer sends it again.

use std::time::{Duration, Instant};

use hookgate_e2e::redis::{Cluster, Sentinel};
use hookgate_e2e::{Sidecar, Store};

use super::producers::Producers;
use super::scale::rounds;
use super::stage::Stage;

const PACE: Duration = Duration::from_millis(20);
const QUICK: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_sentinels_replace_the_primary() {
    let mut sentinel = Sentinel::start().await;
    survives("sentinel failover", sentinel.url(), async || {
        sentinel.kill_primary().await;
        sentinel.primary().await;
        sentinel.restart_killed().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_a_cluster_loses_a_primary() {
    let mut cluster = Cluster::start().await;
    survives("cluster failover", cluster.url(), async || {
        let key = a_key_in_use(&mut cluster).await;
        cluster.kill_primary(&key).await;
        cluster.primary_of(&key).await;
        cluster.restart_killed().await;
        cluster.healthy().await;
    })
    .await;
}

/// Events are accepted again after every `fail_over`, which kills a primary and waits for the replica in its place and
/// for a new replica of that.
async fn survives(name: &'static str, url: String, mut fail_over: impl AsyncFnMut()) {
    let (mut stage, sidecar) = start(name, url).await;
    let producers = Producers::start(&[sidecar.data()], PACE);
    let mut worst = Duration::ZERO;
    for _ in 0..rounds(1, 5) {
        stage.moment(&producers).await;
        let began = Instant::now();
        fail_over().await;
        producers.accept(1).await;
        worst = worst.max(began.elapsed());
        stage.fault(began);
    }
    stage.moment(&producers).await;
    let remark = format!("; accepts again, once there is a replica again, after at most {worst:?}");
    stage.settle(producers, &sidecar, &remark).await;
}

/// A sidecar with the endpoints whose 202 waits for a replica.
async fn start(name: &'static str, url: String) -> (Stage, Sidecar) {
    let stage = Stage::set(name, QUICK).await.takes_back();
    let sidecar = stage.setup(&Store::Redis(url)).env("REDIS_WAIT_REPLICAS", "1").start().await;
    stage.create_endpoints(&sidecar).await;
    (stage, sidecar)
}

/// The sums of the shard that the producers' tenant is in: what is killed shall be what they need.
async fn a_key_in_use(cluster: &mut Cluster) -> String {
    for shard in 0..16 {
        let key = format!("hg:{{{shard:02}}}:2:sums");
        if cluster.primary_of(&key).await.command(&["EXISTS", &key]).await == "1" {
            return key;
        }
    }
    panic!("no shard has sums");
}
