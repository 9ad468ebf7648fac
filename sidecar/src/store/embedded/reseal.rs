//! Endpoints kept in an older form are written again: in the clear until now, or sealed with a key that is to go.

use super::fault::Trouble;
use super::owner::Owner;
use super::registry;
use super::schedule::Slot;
use super::transaction::whole;

impl Owner {
    /// Writes again what is not kept as it would be now; what stood there before is overwritten in the file, and its log
    /// emptied. Copies that SQLite left elsewhere before, of endpoints changed or deleted, go when their pages are used
    /// again.
    pub(super) fn reseal(&mut self) -> Result<u64, Trouble> {
        let outdated = self.outdated()?;
        if outdated.is_empty() {
            return Ok(0);
        }
        self.connection.execute_batch("PRAGMA secure_delete = ON")?;
        let written = whole(&self.connection, || {
            for endpoint in outdated.iter().filter_map(|slot| self.registry.at(*slot)) {
                registry::write(&self.connection, endpoint, &self.seal)?;
            }
            Ok(u64::try_from(outdated.len()).unwrap_or(u64::MAX))
        });
        self.connection.execute_batch("PRAGMA secure_delete = OFF")?;
        let written = written?;
        self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(written)
    }

    fn outdated(&self) -> Result<Vec<Slot>, Trouble> {
        let mut statement =
            self.connection.prepare("SELECT slot, body FROM endpoints WHERE body IS NOT NULL")?;
        let mut rows = statement.query([])?;
        let mut slots = Vec::new();
        while let Some(row) = rows.next()? {
            let body = row.get_ref("body")?.as_str().map_err(rusqlite::Error::from)?;
            if !self.seal.is_current(body.as_bytes()) {
                slots.push(Slot(row.get("slot")?));
            }
        }
        Ok(slots)
    }
}
