//! A database as its users see it: files, processes, and what survives them.

mod durability;
mod lock;
mod opening;
mod reading;

use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use sealpost_sqlite::{ApplicationId, Database, JobError, OpenDatabaseError, OpenOptions, Schema};

type TestResult = Result<(), Box<dyn Error>>;

const ID: ApplicationId = ApplicationId::new(*b"TEST");

const SCHEMA: Schema =
    Schema { application_id: ID, migrations: &["CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB) STRICT"] };

fn open(directory: &Path) -> Result<Database, OpenDatabaseError> {
    Database::open(&directory.join("test.db"), SCHEMA, OpenOptions::default())
}

async fn insert(database: &Database, id: i64) -> Result<(), JobError> {
    database
        .write(move |transaction| {
            transaction.prepare_cached("INSERT INTO item (id) VALUES (?1)")?.execute([id])?;
            Ok(())
        })
        .await
}

async fn count(database: &Database) -> Result<i64, JobError> {
    database.read(|connection| Ok(connection.query_row("SELECT count(*) FROM item", [], |row| row.get(0))?)).await
}

/// What tells a test that it runs in a process started by itself, and on which directory.
const OTHER_PROCESS: &str = "SEALPOST_SQLITE_TEST_DIRECTORY";

/// The directory to work on, in the process that [`start_other_process`] started.
fn other_process() -> Option<PathBuf> {
    env::var_os(OTHER_PROCESS).map(PathBuf::from)
}

/// Runs the named test a second time, in a process of its own.
fn start_other_process(test: &str, directory: &Path) -> io::Result<Child> {
    Command::new(env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(OTHER_PROCESS, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// What the other process reported, line by line, among what the test harness prints.
fn reports(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    lines.map_while(Result::ok).filter_map(|line| line.split_once("report=").map(|(_, report)| report.to_owned()))
}
