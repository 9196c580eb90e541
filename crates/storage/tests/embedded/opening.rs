//! Which data directories are opened, and by whom.

use std::{collections::BTreeMap, error::Error, ffi::OsString, fs, path::Path, sync::Arc};

use rusqlite::Connection;
use sealpost_core::{
    conformance::{Agent, HandClock},
    ports::{ContentPolicy, Contents},
};
use sealpost_storage::{Embedded, OpenContentsError, OpenDataDirectoryError};

/// What an operator reads: the error and everything below it.
fn whole_message(error: &dyn Error) -> String {
    let below = error.source().map(whole_message);
    below.map_or_else(|| error.to_string(), |below| format!("{error}: {below}"))
}

/// Every file in a folder, by name.
fn bytes_in(folder: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name(), fs::read(file.path()).unwrap())).collect()
}

fn refusal(directory: &Path) -> OpenDataDirectoryError {
    Embedded::open(directory).err().unwrap()
}

#[test]
fn a_missing_directory_is_made() {
    let base = tempfile::tempdir().unwrap();
    let directory = base.path().join("not/there/yet");
    drop(Embedded::open(&directory).unwrap());
    assert!(directory.join("ledger.sqlite3").is_file());
}

#[test]
fn a_second_opener_is_refused_until_the_last_adapter_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let embedded = Embedded::open(directory.path()).unwrap();
    let refused = refusal(directory.path());
    assert!(matches!(refused, OpenDataDirectoryError::Lock(_)));
    assert!(whole_message(&refused).contains("is in use by another process"), "{}", whole_message(&refused));
    let ledger = embedded.ledger();
    drop(embedded);
    assert!(matches!(refusal(directory.path()), OpenDataDirectoryError::Lock(_)), "an adapter is still open");
    drop(ledger);
    drop(Embedded::open(directory.path()).unwrap());
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    drop(Embedded::open(directory.path()).unwrap());
    let path = directory.path().join("ledger.sqlite3");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 1_000).unwrap();
    let before = fs::read(&path).unwrap();
    let refused = refusal(directory.path());
    assert!(matches!(&refused, OpenDataDirectoryError::Database { path: named, .. } if *named == path), "{refused:?}");
    assert!(whole_message(&refused).contains("newer version"), "{}", whole_message(&refused));
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn another_s_database_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite3");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (id)").unwrap();
    let before = fs::read(&path).unwrap();
    let refused = refusal(directory.path());
    assert!(whole_message(&refused).contains("belongs to another application"), "{}", whole_message(&refused));
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn a_file_where_the_directory_should_be_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("file");
    fs::write(&path, b"mine").unwrap();
    let refused = refusal(&path);
    assert!(matches!(&refused, OpenDataDirectoryError::Directory { path: named, .. } if *named == path), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_refused_directory_is_not_kept_locked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite3");
    fs::write(&path, "no database ".repeat(1_000)).unwrap();
    assert!(matches!(refusal(directory.path()), OpenDataDirectoryError::Database { .. }));
    fs::remove_file(&path).unwrap();
    drop(Embedded::open(directory.path()).unwrap());
}

#[test]
fn a_directory_with_contents_of_an_earlier_version_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    drop(Embedded::open(directory.path()).unwrap());
    let file = Connection::open(directory.path().join("ledger.sqlite3")).unwrap();
    file.execute_batch(
        "DROP TABLE revocations; DROP INDEX forgotten_ids; DROP INDEX lost; DROP TABLE fan_outs; DROP TABLE released; DROP TABLE retained;
         ALTER TABLE ledger DROP COLUMN collected_mark; ALTER TABLE ledger DROP COLUMN contents_store;
         ALTER TABLE ledger DROP COLUMN contents_mark;
         PRAGMA user_version = 8; INSERT INTO parts VALUES (1, x'00');",
    )
    .unwrap();
    let refused = whole_message(&refusal(directory.path()));
    assert!(refused.contains("messages that an earlier version accepted still wait here"), "{refused}");
    file.execute_batch("DELETE FROM parts").unwrap();
    drop(file);
    drop(Embedded::open(directory.path()).unwrap());
}

#[tokio::test]
async fn blocks_of_another_ledger_are_refused_and_left_as_they_are() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = async |directory: &Path| {
        let embedded = Embedded::open(directory).unwrap();
        embedded.open_contents(Arc::new(Agent::new(0x0d)), Arc::<HandClock>::default()).await
    };
    for directory in &directories {
        let contents = open(directory.path()).await.unwrap();
        contents.append(ContentPolicy::Pooled, vec![vec![7; 3_000]]).await.unwrap();
    }
    let [blocks, others] = [0, 1].map(|of| directories[of].path().join("blocks"));
    let aside = directories[0].path().join("aside");
    fs::rename(&blocks, &aside).unwrap();
    fs::rename(&others, &blocks).unwrap();
    let before = bytes_in(&blocks);
    let refused = open(directories[0].path()).await;
    assert!(matches!(refused, Err(OpenContentsError::OtherBlocks { .. })), "{refused:?}");
    assert!(bytes_in(&blocks) == before);
    fs::rename(&blocks, &others).unwrap();
    fs::rename(&aside, &blocks).unwrap();
    for directory in &directories {
        open(directory.path()).await.unwrap();
    }
}

#[tokio::test]
async fn contents_are_opened_once_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let embedded = Embedded::open(directory.path()).unwrap();
    let open = async || embedded.open_contents(Arc::new(Agent::new(0x0d)), Arc::<HandClock>::default()).await;
    let first = open().await.unwrap();
    assert!(matches!(open().await, Err(OpenContentsError::Open)));
    drop(first);
    open().await.unwrap();
}
