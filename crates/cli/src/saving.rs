//! Files that strangers sent, written into a folder: whole or not at all, never over another, readable by their owner only,
//! under a name that does no harm.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::limits;

use sealpost_agent::steers;
use sealpost_protocol::{MessageId, Timestamp};
use tempfile::{Builder, NamedTempFile};

/// What a file is called until it is whole: between these are six letters and digits.
const PART: (&str, &str) = (".sealpost-", ".part");
const PART_RANDOM: usize = 6;

/// What is to be saved.
pub(crate) struct Saving<'a> {
    /// The message.
    pub(crate) message: MessageId,
    /// When it was received.
    pub(crate) received: Timestamp,
    /// What the sender calls it.
    pub(crate) name: Option<&'a str>,
}

impl Saving<'_> {
    /// Writes the content into a file of its own in `folder`, which is made if missing, and returns where. A file that was
    /// saved of this very message before, and is as it was, serves as well: the message was not taken then.
    pub(crate) fn write_into(&self, folder: &Path, content: &mut impl Read) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let mut part = part_in(folder)?;
        io::copy(content, &mut part)?;
        part.as_file().set_modified(self.stamp())?;
        part.as_file().sync_all()?;
        for name in self.names() {
            let path = folder.join(name);
            match part.persist_noclobber(&path) {
                Ok(_) => {
                    File::open(folder)?.sync_all()?;
                    return Ok(path);
                }
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    if is_saved_as(&path, error.file.as_file())? {
                        return Ok(path);
                    }
                    part = error.file;
                }
                Err(error) => return Err(error.error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name that it could have is taken"))
    }

    /// What the file is dated: when its message was received, to the millisecond; below that stands the end of the message's
    /// id, which tells the files of two messages apart that say the same.
    fn stamp(&self) -> SystemTime {
        let of_id = self.message.as_bytes().last_chunk().map_or(0, |end: &[u8; 4]| u32::from_be_bytes(*end));
        let below = Duration::from_nanos(u64::from(of_id) % 1_000_000);
        UNIX_EPOCH + Duration::from_millis(self.received.as_millis()) + below
    }

    /// The sender's name for it, or else the message's id; the same with a number, `name (2).ext`; and at last one that
    /// begins with the id.
    fn names(&self) -> impl Iterator<Item = String> {
        let id = self.message.to_string();
        let name = self.name.and_then(harmless).unwrap_or_else(|| id.clone());
        let last = with(&format!("{id}-"), &name, "");
        let numbered = (2..=limits::FILE_NAMES).map({
            let name = name.clone();
            move |number| with("", &name, &format!(" ({number})"))
        });
        [with("", &name, "")].into_iter().chain(numbered).chain([last])
    }
}

/// Whether files can be made in a folder, which is made if missing.
pub(crate) fn is_usable(folder: &Path) -> bool {
    fs::create_dir_all(folder).and_then(|()| part_in(folder)).is_ok()
}

/// Removes what saves that were cut short have left in a folder. Whoever writes a part holds its lock, so one that can be
/// locked is nobody's any more.
pub(crate) fn tidy(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok).filter(|entry| entry.file_name().to_str().is_some_and(is_part)) {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let Some(file) = File::open(entry.path()).ok().filter(|_| is_file) else { continue };
        if file.try_lock().is_ok()
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(%error, path = %entry.path().display(), "what a save that was cut short has left stays");
        }
    }
}

fn is_part(name: &str) -> bool {
    let random = name.strip_prefix(PART.0).and_then(|rest| rest.strip_suffix(PART.1));
    random.is_some_and(|random| random.len() == PART_RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A new part, locked; another process that tidies up may have come in between and removed it.
fn part_in(folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        let part = Builder::new().prefix(PART.0).rand_bytes(PART_RANDOM).suffix(PART.1).tempfile_in(folder)?;
        part.as_file().lock()?;
        let is_there = fs::symlink_metadata(part.path()).is_ok_and(|found| {
            part.as_file().metadata().is_ok_and(|open| (open.dev(), open.ino()) == (found.dev(), found.ino()))
        });
        if is_there {
            return Ok(part);
        }
    }
}

/// Whether there is a file with the date and the content of `part`.
fn is_saved_as(path: &Path, mut part: &File) -> io::Result<bool> {
    let (metadata, of_part) = (fs::symlink_metadata(path)?, part.metadata()?);
    let is_like_it = metadata.len() == of_part.len() && metadata.modified()? == of_part.modified()?;
    if !metadata.is_file() || !is_like_it {
        return Ok(false);
    }
    part.seek(SeekFrom::Start(0))?;
    let (one, other) = (BufReader::new(part), BufReader::new(File::open(path)?));
    for (one, other) in one.bytes().zip(other.bytes()) {
        if one? != other? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A name that no shell, list or terminal takes for something else: nothing hidden, no option, no character that steers.
fn harmless(name: &str) -> Option<String> {
    let is_out = |character: char| steers(character) || matches!(character, '\t' | '\n' | '/' | '\\');
    let plain: String = name.chars().map(|character| if is_out(character) { '_' } else { character }).collect();
    let plain = plain.trim_start_matches(|first: char| first.is_whitespace() || matches!(first, '.' | '-'));
    let plain = plain.trim_end_matches(|last: char| last.is_whitespace() || last == '.');
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// The name with something before it, and something between it and its ending, if that is a short one; cut to what a file's
/// name may have.
fn with(before: &str, name: &str, after: &str) -> String {
    let limit = limits::FILE_NAME - before.len() - after.len();
    let is_ending = |ending: &&str| ending.len() <= limit / 4 && ending.len() < name.len();
    let ending = name.rfind('.').and_then(|dot| name.get(dot..)).filter(is_ending).unwrap_or_default();
    let stem = name.get(..name.len() - ending.len()).unwrap_or_default();
    let stem = stem.get(..stem.floor_char_boundary(limit - ending.len())).unwrap_or_default();
    format!("{before}{stem}{after}{ending}")
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::PermissionsExt};

    use super::*;

    const RECEIVED: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// Saves what a message of that number brings.
    fn save_of(number: u8, name: Option<&str>, mut content: &[u8], folder: &Path) -> PathBuf {
        let message = MessageId::new(RECEIVED, [number; 10]);
        Saving { message, received: RECEIVED, name }.write_into(folder, &mut content).unwrap()
    }

    fn save(name: Option<&str>, content: &[u8], folder: &Path) -> PathBuf {
        save_of(1, name, content, folder)
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_under_the_same_name_counts_only_if_it_is_the_same_message_s_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["file.bin", "file (2).bin", "file (3).bin"].map(|name| folder.path().join(name));
        fs::write(&names[0], "another's").unwrap();
        fs::write(&names[1], "content").unwrap();
        assert_eq!(save(Some("file.bin"), b"content", folder.path()), names[2]);
        assert_eq!(save(Some("file.bin"), b"content", folder.path()), names[2], "saved before");
        File::options().write(true).open(&names[2]).unwrap().write_all(b"CONTENT").unwrap();
        assert_eq!(
            save(Some("file.bin"), b"content", folder.path()),
            folder.path().join("file (4).bin"),
            "altered since"
        );
        let kept = names.map(|name| fs::read_to_string(name).unwrap());
        assert_eq!(kept, ["another's", "content", "CONTENT"]);
        assert_eq!(names_in(folder.path()).len(), 4, "nothing else is left behind");
    }

    #[test]
    fn two_messages_that_bring_the_same_are_two_files() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            for (number, name) in [(1, "notes"), (2, "notes (2)"), (3, "notes (3)")] {
                assert_eq!(save_of(number, Some("notes"), b"the same", folder.path()), folder.path().join(name));
            }
        }
        let id = MessageId::new(RECEIVED, [1; 10]);
        assert_eq!(save_of(1, None, b"1", folder.path()), folder.path().join(id.to_string()));
        assert_eq!(save_of(1, None, b"2", folder.path()), folder.path().join(format!("{id} (2)")));
    }

    #[test]
    fn when_all_numbers_are_taken_the_message_s_id_makes_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let content = |number: usize| number.to_string().into_bytes();
        for number in 1..=limits::FILE_NAMES {
            save(Some("daily.csv"), &content(number), folder.path());
        }
        assert!(folder.path().join(format!("daily ({}).csv", limits::FILE_NAMES)).exists());
        let saved = save(Some("daily.csv"), &content(limits::FILE_NAMES + 1), folder.path());
        let id = MessageId::new(RECEIVED, [1; 10]);
        assert_eq!(saved, folder.path().join(format!("{id}-daily.csv")));
        assert_eq!(names_in(folder.path()).len(), limits::FILE_NAMES + 1);
    }

    #[test]
    fn what_a_save_that_was_cut_short_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let others = [".sealpost-notes", ".sealpost-abcdefg.part", ".sealpost-abc/.part", "x.sealpost-abcdef.part"];
        for name in others.iter().map(|name| name.replace('/', "_")) {
            fs::write(folder.path().join(name), "another's").unwrap();
        }
        fs::create_dir(folder.path().join(".sealpost-folder.part")).unwrap();
        fs::write(folder.path().join(".sealpost-a1B2c3.part"), "cut short").unwrap();
        let under_way = part_in(folder.path()).unwrap();
        tidy(folder.path());
        assert!(under_way.path().exists(), "another process writes it");
        assert!(!folder.path().join(".sealpost-a1B2c3.part").exists());
        assert_eq!(names_in(folder.path()).len(), others.len() + 2);
        tidy(&folder.path().join("missing"));
    }

    #[test]
    fn a_link_or_a_folder_in_its_place_is_not_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, "content").unwrap();
        std::os::unix::fs::symlink(&outside, folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nothing"), folder.path().join("dangling")).unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        for name in ["link", "dangling", "folder"] {
            let saved = save(Some(name), b"content", folder.path());
            assert_eq!(saved, folder.path().join(format!("{name} (2)")));
        }
        assert!(!folder.path().join("nothing").exists());
    }

    #[test]
    fn a_file_is_its_owners_only() {
        let folder = tempfile::tempdir().unwrap();
        let saved = save(None, b"content", &folder.path().join("new"));
        assert_eq!(fs::metadata(saved).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_strangers_name_hides_nothing_and_steers_nothing() {
        let cases = [
            (".bashrc", Some("bashrc")),
            ("..--rf", Some("rf")),
            ("a\u{1b}[2Jb\u{202e}c\nd\u{9b}.txt", Some("a_[2Jb_c_d_.txt")),
            (" spaced out. ", Some("spaced out")),
            ("ünïcödé 🦀.txt", Some("ünïcödé 🦀.txt")),
            ("...", None),
            ("-", None),
        ];
        for (name, expected) in cases {
            assert_eq!(harmless(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn the_longest_names_are_cut_between_characters_and_keep_their_ending() {
        let folder = tempfile::tempdir().unwrap();
        let longest = format!("{}.txt", "ü".repeat(125));
        for content in [b"1", b"2", b"3"] {
            save(Some(&longest), content, folder.path());
        }
        let names = names_in(folder.path());
        assert_eq!(names.len(), 3, "{names:?}");
        let ends = ["ü.txt", "ü (2).txt", "ü (3).txt"];
        assert!(ends.iter().all(|end| names.iter().any(|name| name.ends_with(end))), "{names:?}");
        assert!(names.iter().all(|name| name.len() <= limits::FILE_NAME), "{names:?}");
        let no_ending = format!("a.{}", "b".repeat(253));
        assert_eq!(with("id-", &no_ending, "").len(), limits::FILE_NAME);
        assert_eq!(with("", &no_ending, " (2)").len(), limits::FILE_NAME);
    }
}
