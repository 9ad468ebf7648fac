//! All or nothing, by savepoints: the outermost one is a transaction, an inner one a part of it.

use rusqlite::Connection;

use super::fault::Trouble;

/// Every commit reaches the disk before it is answered.
pub(super) const SYNCED: &str = "PRAGMA synchronous = FULL";
/// Commits reach the disk with the next one that is synced.
const UNSYNCED: &str = "PRAGMA synchronous = NORMAL";

/// Runs one statement that takes and answers nothing.
pub(super) fn run(connection: &Connection, sql: &'static str) -> Result<(), Trouble> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Begins a transaction whose commit is `synced` to disk, or is safe from a crash of the process only.
pub(super) fn begin(connection: &Connection, synced: bool) -> Result<(), Trouble> {
    // Not prepared: this one takes effect when it is compiled.
    connection.execute_batch(if synced { SYNCED } else { UNSYNCED })?;
    run(connection, "BEGIN IMMEDIATE")
}

/// Does `work` wholly or not at all. Outside of a transaction it is one: durable once this answers `Ok`.
pub(super) fn whole<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    if connection.is_autocommit() {
        connection.execute_batch(SYNCED)?;
    }
    run(connection, "SAVEPOINT whole")?;
    let result = work().and_then(|done| run(connection, "RELEASE whole").map(|()| done));
    // A full disk or a failing one makes SQLite roll everything back by itself.
    if result.is_err() && !connection.is_autocommit() {
        run(connection, "ROLLBACK TO whole")?;
        run(connection, "RELEASE whole")?;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(connection: &Connection) -> Vec<i64> {
        let mut statement = connection.prepare("SELECT x FROM t ORDER BY x").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_part_that_fails_takes_nothing_else_along() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        let outer = whole(&connection, || {
            run(&connection, "INSERT INTO t VALUES (1)")?;
            let inner = whole(&connection, || {
                run(&connection, "INSERT INTO t VALUES (2)")?;
                run(&connection, "no sql")
            });
            assert!(inner.is_err());
            run(&connection, "INSERT INTO t VALUES (3)")
        });
        assert!(outer.is_ok());
        assert_eq!(rows(&connection), [1, 3]);
        assert!(connection.is_autocommit(), "the outermost one is closed");
    }

    #[test]
    fn only_what_may_be_lost_is_not_synced() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("db")).unwrap();
        let level =
            || connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).unwrap();
        for (synced, expected) in [(false, 1), (true, 2), (false, 1)] {
            begin(&connection, synced).unwrap();
            assert_eq!(level(), expected);
            run(&connection, "COMMIT").unwrap();
        }
        let by_hand = whole(&connection, || Ok(level())).unwrap();
        assert_eq!(by_hand, 2, "a change by hand is synced");
    }

    #[test]
    fn the_outermost_is_undone_as_a_whole() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        let result = whole(&connection, || {
            run(&connection, "INSERT INTO t VALUES (1)")?;
            Err::<(), _>(Trouble::Gone)
        });
        assert!(result.is_err() && connection.is_autocommit());
        assert!(rows(&connection).is_empty());
    }
}
