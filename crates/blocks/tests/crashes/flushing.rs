//! What a flush that fails leaves.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sealpost_blocks::{
    ContentOptions, Files, MemoryFiles, Recovery, WhiteningPolicy,
    conformance::{NOW, content, store},
};

use super::tearing::append;

/// The first flush takes its time, and fails; the system has told of it then, and later ones succeed.
#[derive(Debug, Default)]
struct FailsOnce {
    files: MemoryFiles,
    is_armed: AtomicBool,
    has_begun: AtomicBool,
}

impl Files for FailsOnce {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.files.list()
    }
    fn append(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.files.append(name, offset, bytes)
    }
    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.files.read(name, offset, buffer)
    }
    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.files.overwrite(name, offset, bytes)
    }
    #[expect(clippy::disallowed_methods, reason = "the time that a flush takes is what is tested")]
    fn sync(&self, name: &str) -> io::Result<()> {
        if self.is_armed.swap(false, Ordering::SeqCst) {
            self.has_begun.store(true, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(200));
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.files.sync(name)
    }
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.replace(name, bytes)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
}

#[test]
fn a_flush_beside_one_that_fails_acknowledges_nothing_either() {
    let files = Arc::new(FailsOnce::default());
    let (broken, _) = store(files.clone(), Recovery::Everything);
    append(&broken, 1, 3_000);
    files.is_armed.store(true, Ordering::SeqCst);
    std::thread::scope(|threads| {
        let failing = threads.spawn(|| broken.sync());
        while !files.has_begun.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        assert!(broken.give_up(&[]).is_err(), "the inventory would tell of what the failure has thrown away");
        assert!(failing.join().unwrap().is_err());
    });
    assert!(broken.close().is_err());
}

#[test]
fn after_a_failed_flush_nothing_is_acknowledged_until_the_store_is_opened_again() {
    let files = Arc::new(FailsOnce::default());
    let (broken, _) = store(files.clone(), Recovery::Everything);
    let handles = append(&broken, 1, 3_000);
    let mark = broken.sync().unwrap();
    append(&broken, 2, 3_000);
    files.is_armed.store(true, Ordering::SeqCst);
    assert!(broken.sync().is_err());
    assert!(broken.sync().is_err(), "the failed flush may have thrown the bytes away");
    assert!(broken.append(b"x", ContentOptions::new(WhiteningPolicy::Pooled, NOW)).is_err());
    assert!(broken.read(&handles[0]).is_ok(), "reading goes on");
    drop(broken);
    let (again, _) = store(files, Recovery::Committed(mark));
    assert!(handles.iter().all(|handle| again.read(handle).unwrap() == content(1, 3_000)));
    again.append(b"x", ContentOptions::new(WhiteningPolicy::Pooled, NOW)).unwrap();
    again.sync().unwrap();
}
