//! What every layer of [`Files`] must do.

use std::io::ErrorKind;

use super::Opener;
use crate::Files;

/// Makes every check of the suite a test.
#[macro_export]
macro_rules! files_conformance {
    ($make:path) => {
        $crate::block_conformance_tests! { $make, files:
            a_file_grows_at_its_end_and_nowhere_else
            what_was_flushed_is_there_when_opened_again
            bytes_inside_a_file_are_replaced
            a_small_file_is_replaced_whole
            files_are_listed_and_removed
            what_is_not_there_is_told_so
        }
    };
}

fn read(files: &dyn Files, name: &str, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    files.read(name, offset, &mut bytes).unwrap();
    bytes
}

fn listed(files: &dyn Files) -> Vec<(String, u64)> {
    let mut listed = files.list().unwrap();
    listed.sort();
    listed
}

pub fn a_file_grows_at_its_end_and_nowhere_else(open: &Opener) {
    let files = open();
    files.append("a", 0, b"one").unwrap();
    files.append("a", 3, b"two").unwrap();
    for offset in [0, 5, 7] {
        assert_eq!(files.append("a", offset, b"x").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(files.append("b", 1, b"x").unwrap_err().kind(), ErrorKind::InvalidInput);
    files.sync("a").unwrap();
    files.append("a", 6, b"three").unwrap();
    assert_eq!(read(&*files, "a", 0, 11), b"onetwothree");
    assert_eq!(read(&*files, "a", 2, 5), b"etwot");
}

pub fn what_was_flushed_is_there_when_opened_again(open: &Opener) {
    let files = open();
    files.append("a", 0, &[7; 100_000]).unwrap();
    files.sync("a").unwrap();
    files.append("a", 100_000, &[8; 10]).unwrap();
    files.sync("a").unwrap();
    files.overwrite("a", 50, &[9; 10]).unwrap();
    // Across what the flushes have parted.
    files.overwrite("a", 99_998, &[6; 4]).unwrap();
    let look = |files: &dyn Files| {
        assert_eq!(read(files, "a", 49, 12), [7, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 7]);
        assert_eq!(read(files, "a", 99_997, 13), [7, 6, 6, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8]);
    };
    look(&*files);
    files.sync("a").unwrap();
    files.replace("b", b"small").unwrap();
    drop(files);
    let files = open();
    assert_eq!(listed(&*files), [("a".to_owned(), 100_010), ("b".to_owned(), 5)]);
    look(&*files);
    files.append("a", 100_010, b"more").unwrap();
    assert_eq!(read(&*files, "a", 100_009, 5), b"\x08more");
}

pub fn bytes_inside_a_file_are_replaced(open: &Opener) {
    let files = open();
    files.append("a", 0, b"0123456789").unwrap();
    files.overwrite("a", 3, b"xyz").unwrap();
    assert_eq!(read(&*files, "a", 0, 10), b"012xyz6789");
    files.sync("a").unwrap();
    files.append("a", 10, b"abc").unwrap();
    files.overwrite("a", 8, b"....").unwrap();
    assert_eq!(read(&*files, "a", 0, 13), b"012xyz67....c");
    assert_eq!(files.overwrite("a", 10, b"----").unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(read(&*files, "a", 0, 13), b"012xyz67....c");
    files.append("b", 0, b"another").unwrap();
    files.sync("b").unwrap();
    for (name, with) in [("b", b"A"), ("a", b"-"), ("b", b"O")] {
        files.overwrite(name, 0, with).unwrap();
    }
    assert_eq!((read(&*files, "a", 0, 13), read(&*files, "b", 0, 7)), (b"-12xyz67....c".to_vec(), b"Onother".to_vec()));
    files.sync("a").unwrap();
    files.sync("b").unwrap();
    assert_eq!((read(&*files, "a", 0, 13), read(&*files, "b", 0, 7)), (b"-12xyz67....c".to_vec(), b"Onother".to_vec()));
}

pub fn a_small_file_is_replaced_whole(open: &Opener) {
    let files = open();
    files.replace("a", b"first and longer").unwrap();
    files.replace("a", b"second").unwrap();
    assert_eq!(read(&*files, "a", 0, 6), b"second");
    assert_eq!(listed(&*files), [("a".to_owned(), 6)]);
    files.replace("a", b"").unwrap();
    assert_eq!(listed(&*files), [("a".to_owned(), 0)]);
}

pub fn files_are_listed_and_removed(open: &Opener) {
    let files = open();
    assert_eq!(listed(&*files), []);
    files.append("a", 0, b"a").unwrap();
    files.append("b", 0, b"bb").unwrap();
    files.sync("b").unwrap();
    assert_eq!(listed(&*files), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    files.remove("a").unwrap();
    files.remove("a").unwrap();
    files.remove("b").unwrap();
    assert_eq!(listed(&*files), []);
    files.append("b", 0, b"again").unwrap();
    assert_eq!(read(&*files, "b", 0, 5), b"again");
}

pub fn what_is_not_there_is_told_so(open: &Opener) {
    let files = open();
    let missing = ErrorKind::NotFound;
    assert_eq!(files.read("a", 0, &mut [0]).unwrap_err().kind(), missing);
    assert_eq!(files.overwrite("a", 0, b"x").unwrap_err().kind(), missing);
    assert_eq!(files.sync("a").unwrap_err().kind(), missing);
    files.append("a", 0, b"abc").unwrap();
    assert_eq!(files.read("a", 1, &mut [0; 3]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(files.read("a", u64::MAX, &mut [0; 3]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}
