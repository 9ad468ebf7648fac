//! Opens the database: who may use it, how durable it is, and which version of the schema it has.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::Location;
use super::fault::Trouble;
use super::transaction::SYNCED;
use crate::store::StoreFault;

/// Each step takes the schema from version `n` to `n + 1`. Never changed once released; only added to.
const MIGRATIONS: [&str; 5] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
];
/// `HKGT`: whose file it is (`PRAGMA application_id`).
const APPLICATION: i32 = 0x484b_4754;
/// How long another process may take to let go of the file, as at a restart.
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// Prepared statements kept; there are fewer.
const STATEMENTS: usize = 64;

/// Opens the database and brings its schema up to date.
pub(super) fn open(location: Location) -> Result<Connection, Trouble> {
    let (connection, name) = match location {
        Location::Memory => (Connection::open_in_memory()?, "memory".to_owned()),
        Location::File(path) => (open_file(&path)?, path.display().to_string()),
    };
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    migrate(&connection, &name, &MIGRATIONS)?;
    Ok(connection)
}

/// A write-ahead log, synced at every commit: what was answered survives a power cut. Nobody else may have the file.
fn open_file(path: &Path) -> Result<Connection, Trouble> {
    let unusable = |why, fault| Trouble::Unusable { path: path.display().to_string(), why, fault };
    if make_private(path).is_err() {
        return Err(unusable("it cannot be opened or made", StoreFault::Unavailable));
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    let locked = mode.and_then(|mode| connection.execute_batch("BEGIN EXCLUSIVE; COMMIT").map(|()| mode));
    match locked {
        Ok(mode) if mode == "wal" => {}
        Ok(_) => return Err(unusable("its file system allows no write-ahead log", StoreFault::Broken)),
        Err(error) => return Err(explain(error, unusable)),
    }
    connection.execute_batch(SYNCED)?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(connection)
}

/// Makes the file, if it is not there, so that only its owner can read it: it holds secrets. What SQLite lays beside
/// it gets the same permissions.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn explain(error: rusqlite::Error, unusable: impl Fn(&'static str, StoreFault) -> Trouble) -> Trouble {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            unusable("another process has it open", StoreFault::Unavailable)
        }
        Some(ErrorCode::NotADatabase) => unusable("it is not a SQLite database", StoreFault::Broken),
        _ => error.into(),
    }
}

fn migrate(connection: &Connection, name: &str, steps: &[&str]) -> Result<(), Trouble> {
    let unusable = |why| Trouble::Unusable { path: name.to_owned(), why, fault: StoreFault::Broken };
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (version, application) = (pragma("user_version")?, pragma("application_id")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION {
        return Err(unusable("it is the database of another program"));
    }
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let missing = steps.get(done..).ok_or_else(|| unusable("its schema is newer than this version knows"))?;
    for (step, to) in missing.iter().zip(done + 1..) {
        let transaction = connection.unchecked_transaction()?;
        connection.execute_batch(step)?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        connection.pragma_update(None, "user_version", i32::try_from(to).unwrap_or(i32::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::read::event_at;
    use super::*;

    fn refusal(location: Location) -> (String, StoreFault) {
        let trouble = open(location).unwrap_err();
        (trouble.to_string(), trouble.fault())
    }

    #[test]
    fn a_file_is_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let newer = Connection::open(file("newer")).unwrap();
        migrate(&newer, "newer", &MIGRATIONS).unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        Connection::open(file("foreign")).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        std::fs::write(file("text"), "a text, long enough to be no empty database".repeat(100)).unwrap();
        let held = open(Location::File(file("held"))).unwrap();
        let table = [
            ("newer", "its schema is newer than this version knows", StoreFault::Broken),
            ("foreign", "it is the database of another program", StoreFault::Broken),
            ("text", "it is not a SQLite database", StoreFault::Broken),
            ("held", "another process has it open", StoreFault::Unavailable),
        ];
        drop(newer);
        for (name, why, fault) in table {
            let (message, kind) = refusal(Location::File(file(name)));
            assert_eq!(message, format!("{}: {why}", file(name).display()));
            assert_eq!(kind, fault, "{name}");
        }
        drop(held);
        assert!(open(Location::File(file("held"))).is_ok(), "once let go it can be had");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let location = Location::File("/nonexistent/hookgate.db".into());
        assert_eq!(refusal(location).1, StoreFault::Unavailable);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let connection = open(Location::File(folder.path().join("db"))).unwrap();
        connection.execute_batch("UPDATE sums SET dead = 1").unwrap();
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
        let names: Vec<_> = files.iter().map(|file| file.file_name().into_string().unwrap()).collect();
        assert!(names.iter().all(|name| ["db", "db-wal"].contains(&name.as_str())), "{names:?}");
        for file in files {
            assert_eq!(
                file.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{:?}",
                file.file_name()
            );
        }
    }

    #[test]
    fn an_old_schema_is_brought_up_to_date_once() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, "memory", &["CREATE TABLE one (x)"]).unwrap();
        for _ in 0..2 {
            migrate(&connection, "memory", &["never run again", "CREATE TABLE two (x)"]).unwrap();
        }
        let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
        assert_eq!(version.unwrap(), 2);
    }

    #[test]
    fn an_event_of_the_first_schema_is_still_read() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, "memory", &MIGRATIONS[..1]).unwrap();
        let insert = "INSERT INTO events (id, tenant, event_type, content_type, request_id, accepted_at, deliveries, \
                      payload) VALUES (x'000102030405060708090a0b0c0d0e0f', 't', 'a', 'text/plain', 'r', 7, 0, x'70')";
        connection.execute_batch(insert).unwrap();
        migrate(&connection, "memory", &MIGRATIONS).unwrap();
        let event = event_at(&connection, 1).unwrap().unwrap();
        assert_eq!((event.payload.as_ref(), event.accepted_at.0), (&b"p"[..], 7));
        assert_eq!((event.deliver_at, event.expires_at, event.ordering_key), (None, None, None));
    }

    #[test]
    fn a_step_that_fails_leaves_no_half_schema() {
        let connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&connection, "memory", &["CREATE TABLE one (x); no sql"]).is_err());
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
    }

    #[test]
    fn a_file_survives_a_power_cut_by_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(Location::File(folder.path().join("db"))).unwrap();
        let synchronous = connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
        let journal = connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        assert_eq!((synchronous.unwrap(), journal.unwrap().as_str()), (2, "wal"));
    }
}
