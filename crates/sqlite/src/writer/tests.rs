use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, mpsc as sync_mpsc},
    task::Poll,
    time::Duration,
};

use tokio::{sync::oneshot, task::unconstrained};

use super::*;

type TestResult = Result<(), Box<dyn Error>>;

/// A writer over a database in memory, with room for `queue` jobs.
fn start(queue: usize) -> Result<Writer, Box<dyn Error>> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE TABLE item (id INTEGER PRIMARY KEY);
         CREATE TABLE part (item INTEGER NOT NULL REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED);",
    )?;
    Ok(Writer::start(connection, queue)?)
}

fn insert(transaction: &Transaction<'_>, id: i64) -> Result<(), JobError> {
    transaction.prepare_cached("INSERT INTO item (id) VALUES (?1)")?.execute([id])?;
    Ok(())
}

async fn items(writer: &Writer) -> Result<Vec<i64>, JobError> {
    writer
        .run(|transaction| {
            let mut statement = transaction.prepare("SELECT id FROM item ORDER BY id")?;
            let ids = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(ids)
        })
        .await
}

/// Polls once: the job is queued, or its caller waits for room.
async fn begin<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    let poll_once = poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    });
    unconstrained(poll_once).await;
    future
}

/// Keeps a job, and so the writer, where it is until dropped.
struct Gate {
    _open: sync_mpsc::Sender<()>,
}

/// A job that tells when it has begun and then waits for its gate.
fn gated() -> (impl FnMut(&Transaction<'_>) -> Result<(), JobError>, oneshot::Receiver<()>, Gate) {
    let (open, opened) = sync_mpsc::channel();
    let (begin, begun) = oneshot::channel();
    let mut begin = Some(begin);
    let job = move |_: &Transaction<'_>| {
        begin.take().map(|begin| begin.send(()));
        _ = opened.recv();
        Ok(())
    };
    (job, begun, Gate { _open: open })
}

/// Keeps the writer busy with a group of one, so that the jobs sent meanwhile wait together.
async fn close_gate(writer: &Writer) -> Result<Gate, Box<dyn Error>> {
    let (job, begun, gate) = gated();
    drop(begin(writer.run(job)).await);
    begun.await?;
    Ok(gate)
}

#[tokio::test]
async fn jobs_that_wait_together_share_a_commit() -> TestResult {
    let writer = start(2 * GROUP)?;
    let gate = close_gate(&writer).await?;
    let mut writes = Vec::new();
    for id in (0..).take(2 * GROUP) {
        writes.push(begin(writer.run(move |transaction| insert(transaction, id))).await);
    }
    drop(gate);
    for write in writes {
        write.await?;
    }
    assert_eq!(writer.commits(), 1 + 2, "one for the gate, then two full groups");
    assert_eq!(items(&writer).await?.len(), 2 * GROUP);
    Ok(())
}

#[tokio::test]
async fn a_failed_job_does_not_undo_its_neighbours() -> TestResult {
    let writer = start(GROUP)?;
    let gate = close_gate(&writer).await?;
    let before = begin(writer.run(|transaction| insert(transaction, 1))).await;
    let failing = begin(writer.run(|transaction| {
        insert(transaction, 2)?;
        insert(transaction, 1)
    }))
    .await;
    let after = begin(writer.run(|transaction| insert(transaction, 3))).await;
    drop(gate);
    before.await?;
    assert!(matches!(failing.await, Err(JobError::Statement(_))));
    after.await?;
    assert_eq!(writer.commits(), 2, "all three were one group");
    assert_eq!(items(&writer).await?, [1, 3]);
    Ok(())
}

#[tokio::test]
async fn a_group_is_run_again_only_if_one_that_failed_had_changed_something() -> TestResult {
    let writer = start(GROUP)?;
    for (changes, runs) in [(false, 1), (true, 2)] {
        let counted = Arc::new(AtomicU64::new(0));
        let gate = close_gate(&writer).await?;
        let counter = Arc::clone(&counted);
        let id = if changes { 10 } else { 20 };
        let neighbour = begin(writer.run(move |transaction| {
            counter.fetch_add(1, Ordering::Relaxed);
            insert(transaction, id)
        }))
        .await;
        let failing = begin(writer.run(move |transaction| {
            if changes {
                insert(transaction, 99)?;
            }
            insert(transaction, id)
        }))
        .await;
        drop(gate);
        neighbour.await?;
        assert!(matches!(failing.await, Err(JobError::Statement(_))));
        assert_eq!(counted.load(Ordering::Relaxed), runs);
    }
    assert_eq!(items(&writer).await?, [10, 20]);
    Ok(())
}

#[tokio::test]
async fn what_a_job_owns_lives_until_its_commit() -> TestResult {
    struct Owned {
        commits: Arc<AtomicU64>,
        at_drop: sync_mpsc::Sender<u64>,
    }
    impl Drop for Owned {
        fn drop(&mut self) {
            _ = self.at_drop.send(self.commits.load(Ordering::Relaxed));
        }
    }
    let writer = start(GROUP)?;
    let (at_drop, dropped) = sync_mpsc::channel();
    let owned = Owned { commits: Arc::clone(&writer.commits), at_drop };
    let insert_one = move |transaction: &Transaction<'_>| {
        let _kept = &owned;
        insert(transaction, 1)
    };
    writer.run(insert_one).await?;
    assert_eq!(dropped.recv_timeout(Duration::from_secs(10))?, 1);
    Ok(())
}

#[tokio::test]
async fn a_panic_in_a_job_is_contained() -> TestResult {
    let writer = start(GROUP)?;
    let gate = close_gate(&writer).await?;
    let before = begin(writer.run(|transaction| insert(transaction, 1))).await;
    let panicking = begin(writer.run(|transaction| {
        insert(transaction, 2)?;
        let statement = transaction.prepare_cached("SELECT id FROM item")?;
        assert!(statement.column_count() > 1, "this panic is part of the test");
        Ok::<_, JobError>(())
    }))
    .await;
    let after = begin(writer.run(|transaction| insert(transaction, 3))).await;
    drop(gate);
    before.await?;
    assert!(matches!(panicking.await, Err(JobError::Panicked)));
    after.await?;
    assert_eq!(items(&writer).await?, [1, 3]);
    Ok(())
}

#[tokio::test]
async fn nobody_is_answered_before_the_commit() -> TestResult {
    let writer = start(GROUP)?;
    let gate = close_gate(&writer).await?;
    let first = begin(writer.run(|transaction| insert(transaction, 1))).await;
    let refused = begin(writer.run(|transaction| insert(transaction, 1))).await;
    let (job, begun, second_gate) = gated();
    let last = begin(writer.run(job)).await;
    drop(gate);
    begun.await?;
    let first = begin(first).await;
    let refused = begin(refused).await;
    drop(second_gate);
    last.await?;
    first.await?;
    assert!(matches!(refused.await, Err(JobError::Statement(_))));
    Ok(())
}

#[tokio::test]
async fn a_failed_commit_is_told_to_every_caller_and_applies_nothing() -> TestResult {
    let writer = start(GROUP)?;
    let gate = close_gate(&writer).await?;
    let innocent = begin(writer.run(|transaction| insert(transaction, 1))).await;
    let refused = begin(writer.run(|transaction| insert(transaction, 1))).await;
    let guilty = begin(writer.run(|transaction| {
        transaction.execute("INSERT INTO part (item) VALUES (99)", [])?;
        Ok::<_, JobError>(())
    }))
    .await;
    drop(gate);
    assert!(matches!(innocent.await, Err(JobError::Transaction(_))));
    assert!(matches!(refused.await, Err(JobError::Transaction(_))), "its refusal rested on a row that never was");
    assert!(matches!(guilty.await, Err(JobError::Transaction(_))));
    assert_eq!(writer.commits(), 1, "the gate's");
    writer.run(|transaction| insert(transaction, 2)).await?;
    assert_eq!(items(&writer).await?, [2]);
    Ok(())
}

#[tokio::test]
async fn a_job_that_loses_the_transaction_fails_its_group_only() -> TestResult {
    let writer = start(GROUP)?;
    let gate = close_gate(&writer).await?;
    let before = begin(writer.run(|transaction| insert(transaction, 1))).await;
    let guilty = begin(writer.run(|transaction| {
        transaction.execute("INSERT OR ROLLBACK INTO item (id) VALUES (1)", [])?;
        Ok::<_, JobError>(())
    }))
    .await;
    let after = begin(writer.run(|transaction| insert(transaction, 2))).await;
    drop(gate);
    assert!(matches!(before.await, Err(JobError::RolledBack)));
    assert!(matches!(guilty.await, Err(JobError::Statement(_))), "who caused it learns what it was");
    assert!(matches!(after.await, Err(JobError::RolledBack)));
    writer.run(|transaction| insert(transaction, 3)).await?;
    assert_eq!(items(&writer).await?, [3]);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_keeps_the_next_caller_waiting() -> TestResult {
    let writer = start(2)?;
    let gate = close_gate(&writer).await?;
    let first = begin(writer.run(|transaction| insert(transaction, 1))).await;
    let second = begin(writer.run(|transaction| insert(transaction, 2))).await;
    let withdrawn = begin(writer.run(|transaction| insert(transaction, 3))).await;
    drop(withdrawn);
    let waiting = begin(writer.run(|transaction| insert(transaction, 4))).await;
    drop(gate);
    first.await?;
    second.await?;
    waiting.await?;
    assert_eq!(items(&writer).await?, [1, 2, 4], "a job the queue had no room for left with its caller");
    Ok(())
}

#[tokio::test]
async fn a_queued_job_runs_though_its_caller_left() -> TestResult {
    let writer = start(GROUP)?;
    let gate = close_gate(&writer).await?;
    drop(begin(writer.run(|transaction| insert(transaction, 1))).await);
    drop(gate);
    assert_eq!(items(&writer).await?, [1]);
    Ok(())
}

#[tokio::test]
async fn dropping_the_writer_first_drains_the_queue() -> TestResult {
    let writer = start(GROUP)?;
    let (ran, all) = sync_mpsc::channel();
    let gate = close_gate(&writer).await?;
    for id in 0..3 {
        let ran = ran.clone();
        let write = begin(writer.run(move |transaction| {
            _ = ran.send(id);
            insert(transaction, id)
        }))
        .await;
        drop(write);
    }
    drop((gate, ran));
    drop(writer);
    assert_eq!(all.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_job_may_drop_the_last_handle() -> TestResult {
    let writer = Arc::new(start(GROUP)?);
    let gate = close_gate(&writer).await?;
    let (outlive, outlived) = sync_mpsc::channel();
    let mut last = Some(Arc::clone(&writer));
    let write = begin(writer.run(move |_| {
        drop(last.take());
        _ = outlive.send(());
        Ok::<_, JobError>(())
    }))
    .await;
    drop(write);
    drop(writer);
    drop(gate);
    outlived.recv_timeout(Duration::from_secs(10))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_job_holds_is_let_go_of_before_its_caller_hears() -> TestResult {
    let writer = start(4)?;
    let held = Arc::new(());
    for _ in 0..2_000 {
        let holds = Arc::clone(&held);
        writer
            .run(move |_| {
                let _held = &holds;
                Ok::<_, JobError>(())
            })
            .await?;
        assert_eq!(Arc::strong_count(&held), 1);
    }
    Ok(())
}
