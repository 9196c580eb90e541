//! What readers see, and what they cannot do.

use std::{
    future::{Future, poll_fn},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::Poll,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::*;

/// A place inside a job where it tells that it has come so far, and goes on when told to.
struct Stop {
    reached: oneshot::Sender<()>,
    released: mpsc::Receiver<()>,
}

impl Stop {
    fn wait(self) {
        _ = self.reached.send(());
        _ = self.released.recv();
    }
}

/// A stop, what resolves when a job reaches it, and what lets the job go on when dropped.
fn stop() -> (Stop, oneshot::Receiver<()>, mpsc::Sender<()>) {
    let (reach, reached) = oneshot::channel();
    let (release, released) = mpsc::channel();
    (Stop { reached: reach, released }, reached, release)
}

fn count_on(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM item", [], |row| row.get(0))
}

#[tokio::test]
async fn a_reader_sees_only_what_is_committed() -> TestResult {
    let directory = tempfile::tempdir()?;
    let database = open(directory.path())?;
    let (stop, inserted, release) = stop();
    let mut stop = Some(stop);
    let writing = tokio::spawn({
        let database = database.clone();
        let job = move |transaction: &rusqlite::Transaction<'_>| -> Result<i64, JobError> {
            transaction.execute("INSERT INTO item (id) VALUES (1)", [])?;
            if let Some(stop) = stop.take() {
                stop.wait();
            }
            Ok(count_on(transaction)?)
        };
        async move { database.write(job).await }
    });
    inserted.await?;
    assert_eq!(count(&database).await?, 0);
    drop(release);
    assert_eq!(writing.await??, 1);
    assert_eq!(count(&database).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_read_keeps_the_state_it_began_with() -> TestResult {
    let directory = tempfile::tempdir()?;
    let database = open(directory.path())?;
    let (stop, begun, release) = stop();
    let reading = tokio::spawn({
        let database = database.clone();
        let job = move |connection: &Connection| -> Result<(i64, i64), JobError> {
            let before = count_on(connection)?;
            stop.wait();
            Ok((before, count_on(connection)?))
        };
        async move { database.read(job).await }
    });
    begun.await?;
    insert(&database, 1).await?;
    drop(release);
    assert_eq!(reading.await??, (0, 0));
    assert_eq!(count(&database).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_reader_cannot_write() -> TestResult {
    let directory = tempfile::tempdir()?;
    let database = open(directory.path())?;
    let refused = database
        .read(|connection| -> Result<usize, JobError> {
            Ok(connection.execute("INSERT INTO item (id) VALUES (1)", [])?)
        })
        .await;
    assert!(matches!(refused, Err(JobError::Statement(_))));
    assert_eq!(count(&database).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_panic_in_a_read_costs_no_place() -> TestResult {
    let directory = tempfile::tempdir()?;
    let options = OpenOptions { readers: NonZeroUsize::MIN, ..OpenOptions::default() };
    let database = Database::open(&directory.path().join("test.db"), SCHEMA, options)?;
    let panicked = database
        .read(|connection| -> Result<(), JobError> {
            assert!(count_on(connection)? > 0, "this panic is part of the test");
            Ok(())
        })
        .await;
    assert!(matches!(panicked, Err(JobError::Panicked)));
    assert_eq!(count(&database).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_read_beyond_the_bound_waits_with_its_caller() -> TestResult {
    let directory = tempfile::tempdir()?;
    let options = OpenOptions { readers: NonZeroUsize::MIN, ..OpenOptions::default() };
    let database = Database::open(&directory.path().join("test.db"), SCHEMA, options)?;
    let (stop, begun, release) = stop();
    let first = tokio::spawn({
        let database = database.clone();
        let job = move |_: &Connection| -> Result<(), JobError> {
            stop.wait();
            Ok(())
        };
        async move { database.read(job).await }
    });
    begun.await?;
    let ran = Arc::new(AtomicBool::new(false));
    let mut second = Box::pin(database.read({
        let ran = Arc::clone(&ran);
        move |_| -> Result<(), JobError> {
            ran.store(true, Ordering::Relaxed);
            Ok(())
        }
    }));
    poll_fn(|context| {
        assert!(second.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(second);
    assert_eq!(Arc::strong_count(&ran), 1, "no thread holds the job");
    assert!(!ran.load(Ordering::Relaxed));
    drop(release);
    Ok(first.await??)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn every_connection_is_open_before_the_first_read() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(directory.path()).unwrap();
    let path = directory.path().join("test.db").canonicalize().unwrap();
    let open_files = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| file.ok()?.path().read_link().ok());
        files.filter(|file| *file == path).count()
    };
    assert_eq!(open_files(), 1 + OpenOptions::default().readers.get());
    count(&database).await.unwrap();
    assert_eq!(open_files(), 1 + OpenOptions::default().readers.get());
}
