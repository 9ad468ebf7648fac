//! Endpoints kept in an older form are written again: in the clear until now, or sealed with a key that is to go.

use redis::cmd;

use super::fault::{failed, unsealed};
use super::keys::Shard;
use super::link::{Again, Commands};
use super::{Shared, StoreError, scripts};

const OPERATION: &str = "reseal";
/// Endpoints read at once.
const AT_ONCE: usize = 100;

impl Shared {
    /// One endpoint after the other, each only if nobody else changed it meanwhile: whoever did wrote it anew himself.
    pub(super) async fn reseal(&self) -> Result<u64, StoreError> {
        self.open(OPERATION).await?;
        let mut written = 0;
        for shard in Shard::all() {
            let all = cmd("ZRANGE").arg(self.keys.index(shard, "endpoints")).arg(0).arg(-1).take();
            let ids: Vec<String> = self.link.ask(shard, all).await.map_err(failed(OPERATION))?;
            for some in ids.chunks(AT_ONCE) {
                written += self.reseal_some(shard, some).await?;
            }
        }
        Ok(written)
    }

    async fn reseal_some(&self, shard: Shard, ids: &[String]) -> Result<u64, StoreError> {
        let mut all = Commands::default();
        for id in ids {
            let state = self.keys.index(shard, format_args!("ep:{id}"));
            all.add(shard, cmd("HGET").arg(state).arg("json").take());
        }
        let kept: Vec<Option<Vec<u8>>> = self.link.query(all).await.map_err(failed(OPERATION))?;
        let mut written = 0;
        for (id, json) in ids.iter().zip(kept) {
            let Some(json) = json.filter(|json| !self.seal.is_current(json)) else { continue };
            let endpoint = self.seal.read(&json).map_err(unsealed(OPERATION))?;
            let anew = self.seal.write(&endpoint).map_err(unsealed(OPERATION))?;
            let mut call = scripts::RESEAL.prepare_invoke();
            call.key(self.keys.prefix(shard)).arg(id).arg(json).arg(anew);
            let done: u64 = self.link.run(shard, &call, Again::Safe).await.map_err(failed(OPERATION))?;
            written += done;
        }
        Ok(written)
    }
}
