//! Which files are opened, and what opening does to them.

use std::{fs, num::NonZeroU16, path::PathBuf, sync::Barrier, thread};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const TWO_STEPS: Schema = Schema {
    application_id: ID,
    migrations: &[
        "CREATE TABLE step (number INTEGER NOT NULL); INSERT INTO step VALUES (1);",
        "CREATE TABLE other (id INTEGER PRIMARY KEY); INSERT INTO step VALUES (2);",
    ],
};

fn open_two_steps(path: &Path) -> Result<Database, OpenDatabaseError> {
    Database::open(path, TWO_STEPS, OpenOptions::default())
}

fn steps(path: &Path) -> rusqlite::Result<Vec<i64>> {
    let connection = Connection::open(path)?;
    let mut statement = connection.prepare("SELECT number FROM step ORDER BY rowid")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// A directory with a file made by `sql`, and not by this crate.
fn made_by(sql: &str) -> Result<(TempDir, PathBuf), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("test.db");
    Connection::open(&path)?.execute_batch(sql)?;
    Ok((directory, path))
}

#[test]
fn migrations_already_applied_are_not_repeated() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("test.db");
    let first_only = Schema { migrations: &TWO_STEPS.migrations[..1], ..TWO_STEPS };
    drop(Database::open(&path, first_only, OpenOptions::default())?);
    assert_eq!(steps(&path)?, [1]);
    drop(open_two_steps(&path)?);
    drop(open_two_steps(&path)?);
    assert_eq!(steps(&path)?, [1, 2]);
    Ok(())
}

#[test]
fn a_newer_schema_is_refused_and_the_file_left_as_it_was() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("test.db");
    drop(open_two_steps(&path)?);
    Connection::open(&path)?.pragma_update(None, "user_version", 3)?;
    let before = fs::read(&path)?;
    let refused = open_two_steps(&path);
    assert!(matches!(refused, Err(OpenDatabaseError::NewerSchema { found: 3, known: 2 })));
    assert!(fs::read(&path)? == before);
    Ok(())
}

#[test]
fn another_application_s_database_is_refused_and_left_as_it_was() -> TestResult {
    let (_directory, path) = made_by("PRAGMA application_id = 7; CREATE TABLE theirs (id)")?;
    let before = fs::read(&path)?;
    let refused = open_two_steps(&path);
    let theirs = ApplicationId::new([0, 0, 0, 7]);
    assert!(matches!(refused, Err(OpenDatabaseError::Foreign { found, expected: ID }) if found == theirs));
    assert!(fs::read(&path)? == before, "not even its journal mode changed");
    Ok(())
}

#[test]
fn an_unclaimed_database_with_tables_is_refused() -> TestResult {
    let (_directory, path) = made_by("CREATE TABLE theirs (id)")?;
    assert!(matches!(open_two_steps(&path), Err(OpenDatabaseError::Foreign { .. })));
    Ok(())
}

#[test]
fn an_unclaimed_database_without_tables_is_ours_to_fill() -> TestResult {
    let (_directory, path) = made_by("PRAGMA journal_mode = WAL")?;
    drop(open_two_steps(&path)?);
    assert_eq!(steps(&path)?, [1, 2]);
    Ok(())
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_was() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("test.db");
    let letter = "Dear reader, this is a letter. ".repeat(100);
    fs::write(&path, &letter)?;
    assert!(matches!(open_two_steps(&path), Err(OpenDatabaseError::Sqlite(_))));
    assert_eq!(fs::read_to_string(&path)?, letter);
    Ok(())
}

#[test]
fn a_failed_migration_keeps_the_steps_before_it() -> TestResult {
    const BROKEN: Schema = Schema {
        migrations: &[TWO_STEPS.migrations[0], "INSERT INTO step VALUES (2); INSERT INTO missing VALUES (1)"],
        ..TWO_STEPS
    };
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("test.db");
    let failed = Database::open(&path, BROKEN, OpenOptions::default());
    assert!(matches!(failed, Err(OpenDatabaseError::Migration { version: 2, .. })));
    assert_eq!(steps(&path)?, [1]);
    drop(open_two_steps(&path)?);
    assert_eq!(steps(&path)?, [1, 2], "a build with the step repaired goes on from there");
    Ok(())
}

#[test]
fn a_migration_may_rebuild_a_table_others_refer_to_but_not_break_a_reference() -> TestResult {
    const PARENT_AND_CHILD: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (parent INTEGER NOT NULL REFERENCES parent (id) ON DELETE CASCADE);
        INSERT INTO parent VALUES (1);
        INSERT INTO child VALUES (1);";
    const REBUILD: &str = "CREATE TABLE rebuilt (id INTEGER PRIMARY KEY, name TEXT);
        INSERT INTO rebuilt (id) SELECT id FROM parent;
        DROP TABLE parent;
        ALTER TABLE rebuilt RENAME TO parent;";
    const REBUILT: Schema = Schema { application_id: ID, migrations: &[PARENT_AND_CHILD, REBUILD] };
    const BREAKING: Schema = Schema { migrations: &[PARENT_AND_CHILD, REBUILD, "DELETE FROM parent"], ..REBUILT };
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("test.db");
    drop(Database::open(&path, REBUILT, OpenOptions::default())?);
    let refused = Database::open(&path, BREAKING, OpenOptions::default());
    assert!(matches!(refused, Err(OpenDatabaseError::BrokenReferences { version: 3 })));
    drop(Database::open(&path, REBUILT, OpenOptions::default())?);
    let rows = "SELECT (SELECT count(*) FROM parent) || ' ' || (SELECT count(*) FROM child)";
    let rows: String = Connection::open(&path)?.query_row(rows, [], |row| row.get(0))?;
    assert_eq!(rows, "1 1", "neither step deleted a row");
    Ok(())
}

#[test]
fn those_who_open_a_new_file_at_once_migrate_it_once() -> TestResult {
    const OPENERS: usize = 8;
    for _ in 0..50 {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("test.db");
        let start = Barrier::new(OPENERS);
        let opened = thread::scope(|scope| {
            let opener = || {
                start.wait();
                open_two_steps(&path).map(drop)
            };
            let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(opener)).collect();
            openers.into_iter().map(|opener| opener.join()).collect::<Vec<_>>()
        });
        for result in opened {
            result.map_err(|_| "an opener panicked")??;
        }
        assert_eq!(steps(&path)?, [1, 2]);
    }
    Ok(())
}

#[tokio::test]
async fn the_writer_is_set_up_to_be_durable_and_strict() -> TestResult {
    const PRAGMAS: [&str; 6] =
        ["synchronous", "fullfsync", "foreign_keys", "secure_delete", "wal_autocheckpoint", "journal_size_limit"];
    let directory = tempfile::tempdir()?;
    let relay = OpenOptions { secure_delete: false, checkpoint_pages: NonZeroU16::MAX, ..OpenOptions::default() };
    let expected =
        [(OpenOptions::default(), [2, 1, 1, 1, 1_000, 16_384_000]), (relay, [2, 1, 1, 0, 65_535, 1_073_725_440])];
    for (options, expected) in expected {
        let database = Database::open(&directory.path().join("test.db"), SCHEMA, options)?;
        let values = database
            .write(|transaction| -> Result<Vec<i64>, JobError> {
                let values = PRAGMAS.iter().map(|pragma| transaction.pragma_query_one(None, pragma));
                Ok(values.collect::<Result<_, _>>()?)
            })
            .await?;
        assert_eq!(values, expected);
    }
    let connection = Connection::open(directory.path().join("test.db"))?;
    assert_eq!(connection.pragma_query_one::<String>(None, "journal_mode")?, "wal");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_database_is_its_owners_only_whatever_the_folder_lets_others_do() -> TestResult {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let database = open_two_steps(&directory.path().join("test.db"))?;
    let mut files = 0;
    for file in fs::read_dir(directory.path())? {
        let file = file?;
        assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        files += 1;
    }
    assert_eq!(files, 3, "the file, its log and the log's index");
    drop(database);
    Ok(())
}
