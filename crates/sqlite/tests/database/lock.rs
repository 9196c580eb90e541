//! One process per directory.

use std::io::{Read, Write};

use sealpost_sqlite::{DirectoryLock, Holder, LockError};

use super::*;

#[test]
fn a_second_holder_is_refused_until_the_first_lets_go() -> TestResult {
    let directory = tempfile::tempdir()?;
    let held = DirectoryLock::acquire(directory.path())?;
    let refused = DirectoryLock::acquire(directory.path());
    assert!(matches!(refused, Err(LockError::Locked { path, .. }) if path == directory.path()));
    drop(held);
    DirectoryLock::acquire(directory.path())?;
    Ok(())
}

#[test]
fn a_missing_directory_is_not_made() -> TestResult {
    let directory = tempfile::tempdir()?;
    let missing = directory.path().join("missing");
    assert!(matches!(DirectoryLock::acquire(&missing), Err(LockError::Io { .. })));
    assert!(!missing.exists());
    Ok(())
}

#[test]
fn another_process_is_named_and_its_death_frees_the_directory() -> TestResult {
    const TEST: &str = "lock::another_process_is_named_and_its_death_frees_the_directory";
    if let Some(directory) = other_process() {
        return hold_until_killed(&directory);
    }
    let directory = tempfile::tempdir()?;
    let mut child = start_other_process(TEST, directory.path())?;
    reports(&mut child).next().ok_or("the other process did not lock")?;
    let refused = DirectoryLock::acquire(directory.path()).err().ok_or("two processes hold one lock")?;
    let message = format!("{} is in use by another process (id {})", directory.path().display(), child.id());
    assert_eq!(refused.to_string(), message);
    assert!(matches!(refused, LockError::Locked { holder: Holder(Some(id)), .. } if id == child.id()));
    child.kill()?;
    child.wait()?;
    DirectoryLock::acquire(directory.path())?;
    Ok(())
}

fn hold_until_killed(directory: &Path) -> TestResult {
    let _held = DirectoryLock::acquire(directory)?;
    writeln!(io::stdout(), "report=locked")?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
