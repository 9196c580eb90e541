//! What was answered is there afterwards.

use std::io::Write;

use rusqlite::Connection;

use super::*;

#[tokio::test]
async fn what_was_written_is_there_after_reopening() -> TestResult {
    let directory = tempfile::tempdir()?;
    let database = open(directory.path())?;
    insert(&database, 1).await?;
    insert(&database, 2).await?;
    drop(database);
    assert_eq!(count(&open(directory.path())?).await?, 2);
    Ok(())
}

#[tokio::test]
async fn closing_leaves_no_log_behind() -> TestResult {
    let directory = tempfile::tempdir()?;
    let database = open(directory.path())?;
    insert(&database, 1).await?;
    count(&database).await?;
    drop(database);
    assert!(!directory.path().join("test.db-wal").exists());
    Ok(())
}

#[tokio::test]
async fn closing_empties_the_log_even_if_another_process_stays() -> TestResult {
    let directory = tempfile::tempdir()?;
    let database = open(directory.path())?;
    let other = Connection::open(directory.path().join("test.db"))?;
    other.query_row("SELECT count(*) FROM item", [], |_| Ok(()))?;
    insert(&database, 1).await?;
    drop(database);
    assert_eq!(directory.path().join("test.db-wal").metadata()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_was_told_is_written() -> TestResult {
    const TEST: &str = "durability::a_killed_process_loses_nothing_it_was_told_is_written";
    if let Some(directory) = other_process() {
        return write_until_killed(&directory).await;
    }
    let directory = tempfile::tempdir()?;
    let mut child = start_other_process(TEST, directory.path())?;
    let mut reports = reports(&mut child);
    let early = reports.nth(50).ok_or("the other process ended early")?;
    child.kill()?;
    child.wait()?;
    let answered: i64 = reports.last().unwrap_or(early).parse()?;
    let kept = count(&open(directory.path())?).await?;
    assert!(kept >= answered, "{answered} writes were answered and {kept} kept");
    Ok(())
}

async fn write_until_killed(directory: &Path) -> TestResult {
    let database = open(directory)?;
    let mut output = io::stdout();
    for id in 1.. {
        insert(&database, id).await?;
        writeln!(output, "report={id}")?;
    }
    Ok(())
}
