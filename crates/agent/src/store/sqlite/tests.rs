//! Rows, versions and all-or-nothing.

use super::*;

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("agent.sqlite3")).unwrap();
    (folder, store)
}

fn put(key: &[u8], replaces: u64, content: &[u8]) -> Write {
    Write { area: Area::Session, key: key.to_vec(), replaces, sealed: Some(content.to_vec()) }
}

fn delete(key: &[u8], replaces: u64) -> Write {
    Write { area: Area::Session, key: key.to_vec(), replaces, sealed: None }
}

async fn read(store: &SqliteStore, key: &[u8]) -> Option<(u64, Vec<u8>)> {
    let row = store.row(Area::Session, key.to_vec()).await.unwrap();
    row.map(|row| (row.version, row.sealed))
}

#[tokio::test]
async fn a_look_finds_what_is_committed_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("an agent #1%?.sqlite3");
    let store = SqliteStore::open(&path).unwrap();
    store.commit(vec![put(b"a", 0, b"one")], 1).await.unwrap();
    let sealed = || look(&path, Area::Session, b"a").unwrap().map(|row| row.sealed);
    assert_eq!(sealed(), Some(b"one".to_vec()), "while the store is open, from its log");
    drop(store);
    assert_eq!(sealed(), Some(b"one".to_vec()), "once it is closed");
    assert!(look(&path, Area::Session, b"b").unwrap().is_none());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_row_counts_its_versions() {
    let (_folder, store) = store();
    store.commit(vec![put(b"a", 0, b"one")], 1).await.unwrap();
    store.commit(vec![put(b"a", 1, b"two")], 1).await.unwrap();
    assert_eq!(read(&store, b"a").await, Some((2, b"two".to_vec())));
    store.commit(vec![delete(b"a", 2)], 1).await.unwrap();
    assert_eq!(read(&store, b"a").await, None);
}

#[tokio::test]
async fn a_change_to_another_version_saves_nothing_of_its_set() {
    let (_folder, store) = store();
    store.commit(vec![put(b"a", 0, b"one")], 1).await.unwrap();
    for stale in [put(b"a", 0, b"again"), put(b"a", 2, b"two"), delete(b"a", 2), delete(b"missing", 1)] {
        let result = store.commit(vec![put(b"b", 0, b"beside"), stale], 1).await;
        assert!(matches!(result, Err(CommitError::Conflict)));
    }
    assert_eq!(read(&store, b"a").await, Some((1, b"one".to_vec())));
    assert_eq!(read(&store, b"b").await, None);
}

#[tokio::test]
async fn rows_are_found_by_prefix_in_order_and_in_pages() {
    let (_folder, store) = store();
    for key in ["pa", "pc", "pb", "q", "o", "p"] {
        store.commit(vec![put(key.as_bytes(), 0, b"")], 1).await.unwrap();
    }
    let keys = async |after: &[u8], limit| {
        let rows = store.rows(Area::Session, b"p".to_vec(), after.to_vec(), limit).await.unwrap();
        rows.into_iter().map(|row| String::from_utf8(row.key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(keys(b"", 10).await, ["p", "pa", "pb", "pc"]);
    assert_eq!(keys(b"pa", 1).await, ["pb"]);
    assert_eq!(store.rows(Area::Draft, b"p".to_vec(), Vec::new(), 10).await.unwrap(), []);
}

fn head(replaces: u64) -> Write {
    Write { area: Area::Vault, key: Vec::new(), replaces, sealed: Some(b"head".to_vec()) }
}

#[tokio::test]
async fn resealing_changes_every_row_and_shuts_out_who_has_the_key_before() {
    let (_folder, store) = store();
    store.commit(vec![head(0)], 1).await.unwrap();
    for number in 0..250_u8 {
        store.commit(vec![put(&[number], 0, &[number])], 1).await.unwrap();
    }
    let reseal = |_: Area, row: &Row| Ok([b"new ", row.sealed.as_slice()].concat());
    store.reseal(head(1), 1, Box::new(reseal)).await.unwrap();
    for number in 0..250_u8 {
        assert_eq!(read(&store, &[number]).await, Some((1, [b"new ".as_slice(), &[number]].concat())));
    }
    for write in [put(b"fresh", 0, b"x"), put(&[1], 1, b"x"), delete(&[1], 1)] {
        assert!(matches!(store.commit(vec![write.clone()], 1).await, Err(CommitError::OtherGeneration)));
        store.commit(vec![write], 2).await.unwrap_or_else(|error| assert!(matches!(error, CommitError::Conflict)));
    }
    assert!(matches!(store.reseal(head(2), 1, Box::new(reseal)).await, Err(CommitError::OtherGeneration)));
}

#[tokio::test]
async fn resealing_that_fails_in_the_middle_changes_nothing() {
    let (_folder, store) = store();
    store.commit(vec![head(0), put(b"a", 0, b"a"), put(b"b", 0, b"b")], 1).await.unwrap();
    let reseal = |_: Area, row: &Row| match row.sealed.as_slice() {
        b"b" => Err(StoreError("no more".into())),
        _ => Ok(b"new".to_vec()),
    };
    assert!(store.reseal(head(1), 1, Box::new(reseal)).await.is_err());
    assert_eq!(read(&store, b"a").await, Some((1, b"a".to_vec())));
    store.commit(vec![put(b"a", 1, b"still the first generation")], 1).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_as_one_and_loses_nothing() {
    let (_folder, store) = store();
    store.commit(vec![put(b"a", 0, b"one")], 1).await.unwrap();
    let limit = |pages: u32| {
        let limit = move |transaction: &Transaction<'_>| -> Result<(), JobError> {
            Ok(transaction.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?)
        };
        store.0.write(limit)
    };
    limit(1).await.unwrap(); // SQLite takes this for the pages that there are
    let refused = store.commit(vec![put(b"b", 0, &[0; 100_000])], 1).await.unwrap_err();
    let CommitError::Store(StoreError(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.to_string(), "no space is left on the disk");
    assert_eq!((read(&store, b"a").await, read(&store, b"b").await), (Some((1, b"one".to_vec())), None));
    limit(10_000).await.unwrap();
    store.commit(vec![put(b"b", 0, &[0; 100_000])], 1).await.unwrap();
}
