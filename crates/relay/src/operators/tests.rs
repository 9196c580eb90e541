//! Backups that stop, restores that are refused, and folders that are not what they seem.

use std::{
    fs::{self, File},
    io::Write,
    process::Command,
};

use sealpost_storage::restore_files;

use super::*;

/// A data directory of a node, in a folder of its own.
async fn data_in(folder: &Path) -> PathBuf {
    let data_dir = folder.join("data");
    let storage = Embedded::open(&data_dir).unwrap();
    ledger_identity::establish(&storage, &data_dir, None).await.unwrap();
    data_dir
}

/// A backup of such a data directory, beside it.
async fn backup_in(folder: &Path) -> PathBuf {
    let (data_dir, backup) = (data_in(folder).await, folder.join("backup"));
    Operations::offline(&data_dir).await.unwrap().back_up(backup.clone()).await.unwrap();
    backup
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it comes to be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_nobody_waits_for_stops_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = data_in(folder.path()).await;
    let operations = Operations::offline(&data_dir).await.unwrap();
    // Copying the key blocks until somebody writes it.
    let key = NodeKeys::path(&data_dir);
    let bytes = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());
    for was_there in [false, true] {
        let backup = folder.path().join("backup");
        if was_there {
            fs::create_dir(&backup).unwrap();
        }
        let making = tokio::spawn({
            let (operations, backup) = (operations.clone(), backup.clone());
            async move { operations.back_up(backup).await }
        });
        until(|| backup.join("ledger.sqlite3").exists()).await;
        making.abort();
        assert!(making.await.unwrap_err().is_cancelled());
        until(|| {
            // Open for both it waits for nobody; who has it open by now reads to its end.
            File::options().read(true).write(true).open(&key).unwrap().write_all(&bytes).unwrap();
            fs::read_dir(&backup).map_or(!was_there, |mut left| was_there && left.next().is_none())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_interrupted_leaves_nothing_and_the_data_folder_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let backup = backup_in(folder.path()).await;
    let (target, left) = (folder.path().join("target"), folder.path().join("target.restoring"));
    for was_there in [false, true] {
        if was_there {
            fs::create_dir(&target).unwrap();
        }
        let refused = restore_until(backup.clone(), target.clone(), future::ready(())).await.unwrap_err();
        assert!(refused.is_stopped(), "{refused:?}");
        assert_eq!((target.exists(), left.exists()), (was_there, false));
    }
    assert!(fs::read_dir(&target).unwrap().next().is_none());
    restore(backup, target.clone()).await.unwrap();
    Operations::offline(&target).await.unwrap();
}

#[tokio::test]
async fn a_backup_and_the_data_do_not_go_into_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = data_in(folder.path()).await;
    let operations = Operations::offline(&data_dir).await.unwrap();
    for inside in [data_dir.join("backup"), data_dir.join("blocks/backup"), data_dir.clone()] {
        let refused = operations.back_up(inside.clone()).await;
        assert!(matches!(refused, Err(OperatorError::Backup(BackupError::InsideData { .. }))), "{refused:?}");
        assert!(inside == data_dir || !inside.exists());
    }
    let backup = folder.path().join("backups/one");
    operations.back_up(backup.clone()).await.unwrap();
    for target in [backup.clone(), backup.join("data"), backup.join("new/data"), folder.path().join("backups")] {
        let refused = restore(backup.clone(), target.clone()).await;
        assert!(matches!(refused, Err(OperatorError::Overlap { .. })), "{target:?}: {refused:?}");
    }
    restore(backup.clone(), folder.path().join("target")).await.unwrap();

    let other = folder.path().join("other");
    operations.back_up(other.clone()).await.unwrap();
    for inside in [other.join("in"), folder.path().join("target/deep/in")] {
        let refused = operations.back_up(inside.clone()).await;
        assert!(matches!(refused, Err(OperatorError::Backup(BackupError::InsideOther { .. }))), "{refused:?}");
        let refused = restore(backup.clone(), inside.clone()).await;
        assert!(matches!(refused, Err(OperatorError::InsideOther { .. })), "{refused:?}");
        assert!(!inside.exists());
    }
}

#[tokio::test]
async fn a_backup_is_opened_by_nobody_and_can_still_be_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let backup = backup_in(folder.path()).await;
    let refused = Operations::offline(&backup).await;
    assert!(matches!(refused, Err(OperatorError::Ledger(OpenDataDirectoryError::Backup(_)))), "{refused:?}");
    assert!(matches!(Embedded::open(&backup), Err(OpenDataDirectoryError::Backup(_))));
    restore(backup, folder.path().join("target")).await.unwrap();
}

#[tokio::test]
async fn an_emptied_ledger_beside_contents_is_no_fresh_start_and_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = data_in(folder.path()).await;
    fs::create_dir_all(data_dir.join("blocks")).unwrap();
    fs::write(data_dir.join("blocks/00000001-00000000.segment"), b"contents").unwrap();
    for name in ["ledger.sqlite3-wal", "ledger.sqlite3-shm"] {
        _ = fs::remove_file(data_dir.join(name));
    }
    fs::write(data_dir.join("ledger.sqlite3"), b"").unwrap();
    let files = || {
        let mut files: Vec<_> = fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        files
    };
    let before = files();
    let refused = Operations::offline(&data_dir).await.unwrap_err();
    assert!(matches!(refused, OperatorError::Ledger(OpenDataDirectoryError::Emptied(_))), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("sealpost restore") && text.contains("remove the file"), "{text}");
    assert!(matches!(Embedded::open(&data_dir), Err(OpenDataDirectoryError::Emptied(_))));
    assert_eq!((files(), fs::metadata(data_dir.join("ledger.sqlite3")).unwrap().len()), (before, 0));
    fs::remove_file(data_dir.join("ledger.sqlite3")).unwrap();
    Embedded::open(&data_dir).unwrap();
}

#[tokio::test]
async fn what_a_restore_left_that_was_cut_short_is_told_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let backup = backup_in(folder.path()).await;
    let (target, left) = (folder.path().join("target"), folder.path().join("target.restoring"));
    fs::create_dir(&left).unwrap();
    fs::write(left.join("ledger.sqlite3"), b"half").unwrap();
    let refused = restore(backup, target.clone()).await;
    assert!(matches!(refused, Err(OperatorError::Unfinished(_))), "{refused:?}");
    assert!(!target.exists() && left.join("ledger.sqlite3").exists());
}

#[tokio::test]
async fn what_a_restore_left_that_was_killed_is_cleared_by_the_next_unless_it_works_on() {
    let folder = tempfile::tempdir().unwrap();
    let backup = backup_in(folder.path()).await;
    let (target, left) = (folder.path().join("target"), folder.path().join("target.restoring"));
    let (_, working) = restore_files(&backup, &left, &BackupStop::default()).unwrap();
    fs::write(left.join("blocks/half"), b"half").unwrap();
    let refused = restore(backup.clone(), target.clone()).await;
    assert!(matches!(refused, Err(OperatorError::Backup(BackupError::BeingRestored(_)))), "{refused:?}");
    assert!(left.join("blocks/half").exists());
    drop(working); // as a process that is killed does: it leaves the files, and no lock
    restore(backup, target.clone()).await.unwrap();
    assert!(!left.exists() && !target.join("blocks/half").exists() && !target.join("restoring").exists());
    Operations::offline(&target).await.unwrap();
}

#[tokio::test]
async fn a_backup_that_was_cut_short_is_taken_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = data_in(folder.path()).await;
    let operations = Operations::offline(&data_dir).await.unwrap();
    let backup = folder.path().join("backup");
    operations.back_up(backup.clone()).await.unwrap();
    assert!(!backup.join("unfinished").exists());
    // What there is when the relay is killed: everything but the list.
    fs::rename(backup.join("backup.json"), backup.join("unfinished")).unwrap();
    let again = operations.back_up(backup.clone()).await.unwrap_err();
    assert!(matches!(again, OperatorError::Backup(BackupError::HoldsUnfinished(_))), "{again:?}");
    assert!(again.to_string().contains("remove the folder, or name another"), "{again}");
    let refused = restore(backup.clone(), folder.path().join("target")).await.unwrap_err();
    assert!(matches!(refused, OperatorError::Backup(BackupError::Unfinished(_))), "{refused:?}");
    let refused = Operations::offline(&backup).await.unwrap_err();
    assert!(matches!(refused, OperatorError::Ledger(OpenDataDirectoryError::UnfinishedBackup(_))), "{refused:?}");
    fs::remove_dir_all(&backup).unwrap();
    operations.back_up(backup).await.unwrap();
}
