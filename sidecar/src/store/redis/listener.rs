//! News of other processes: work in a shard, a tenant's changed endpoints. And, since news get lost, a look at
//! everything now and then.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::horizon::NOW;
use super::keys::Shard;
use crate::model::Tenant;

const OPERATION: &str = "listen";
/// How often everything is looked at anew: what a lost message costs at most.
const LOOK: Duration = Duration::from_secs(5);
/// Longest pause between two tries to listen again.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest wait for an answer that shows that the connection is alive.
const ALIVE: Duration = Duration::from_secs(2);

/// Listens until stopped. Being cut off anywhere is safe: it only brings hints.
pub(super) async fn listen(shared: Arc<Shared>, stop: CancellationToken) {
    let listen = async {
        let mut pause = Duration::from_millis(50);
        loop {
            match shared.link.subscribe(&shared.keys.channel()).await {
                Ok(listener) => {
                    pause = Duration::from_millis(50);
                    // what was said while nobody listened is unknown
                    shared.horizons.forget();
                    learn(&shared).await;
                    hear(&shared, listener).await;
                    tracing::warn!("the connection to redis that hears news is lost; connecting again");
                }
                Err(error) => tracing::debug!(%error, "not listening to redis"),
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE);
        }
    };
    let stopped: Option<()> = stop.run_until_cancelled(listen).await;
    debug_assert!(stopped.is_none(), "listening has no other end");
}

/// Hears news until the connection is lost.
async fn hear(shared: &Shared, listener: PubSub) {
    let (mut sink, mut news) = listener.split();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = news.next() => match message {
                Some(message) => {
                    if heed(shared, &message.get_payload::<String>().unwrap_or_default()) {
                        catch_up(shared).await;
                    }
                }
                None => return,
            },
            _ = look.tick() => {
                if !matches!(timeout(ALIVE, sink.ping::<redis::Value>()).await, Ok(Ok(_))) {
                    return;
                }
                look_around(shared).await;
            }
        }
    }
}

/// One message: `origin` of somebody new, `origin shard` for work, `origin shard tenant` for changed endpoints. Answers whether there is
/// something to read again.
fn heed(shared: &Shared, message: &str) -> bool {
    let mut words = message.split(' ');
    let (origin, shard) = (words.next(), words.next().and_then(Shard::parse));
    if origin == Some(shared.origin.as_str()) {
        return false;
    }
    shared.others.heard();
    if let Some(shard) = shard {
        shared.horizons.lower(shard, NOW);
    }
    let tenant = words.next().and_then(|name| name.parse::<Tenant>().ok());
    if let Some(tenant) = &tenant {
        shared.registry.stale(tenant);
    }
    tenant.is_some()
}

/// Reads changed endpoints at once, not when they are first asked for: whoever knows them can write them again should
/// Redis lose them.
async fn catch_up(shared: &Shared) {
    if let Err(error) = shared.catch_up(OPERATION).await {
        tracing::debug!(%error, "changed endpoints are read later");
    }
}

/// What changed while nobody listened.
async fn learn(shared: &Shared) {
    if shared.opened.initialized()
        && let Err(error) = shared.learn_endpoints(OPERATION).await
    {
        tracing::debug!(%error, "endpoints are read later");
    }
}

async fn look_around(shared: &Shared) {
    if shared.opened.get().is_some() {
        let looked = async {
            shared.look_for_loss(OPERATION).await?;
            shared.catch_up(OPERATION).await
        };
        if let Err(error) = looked.await {
            tracing::debug!(%error, "no look at redis");
        }
        shared.horizons.forget();
    }
}
