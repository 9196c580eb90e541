//! What the house asks of its sources beyond what a compiler checks.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every source below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// What our crates are made of, without the suites that they lend to tests.
fn production() -> impl Iterator<Item = (PathBuf, String)> {
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path().join("src"));
    let ours = crates.flat_map(|folder| sources(&folder));
    let kept = ours.filter(|path| path.components().all(|part| part.as_os_str() != "conformance"));
    kept.map(|path| (path.strip_prefix(root()).unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
}

/// The type that a line makes public.
fn public_type(line: &str) -> Option<&str> {
    let kinds = ["pub struct ", "pub enum ", "pub trait ", "pub type "];
    let name = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    name.split(|character: char| !character.is_alphanumeric()).next()
}

#[test]
fn a_name_means_one_public_type_in_the_whole_house() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (path, text) in production() {
        for name in text.lines().filter_map(public_type) {
            places.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    assert!(places.len() > 300, "the search finds what is there: {}", places.len());
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

/// What a source says before its tests.
fn before_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// Whether a line states a time, or a size in KiB, MiB or GiB, as a number.
fn states_a_limit(line: &str) -> bool {
    let time = line.split("Duration::from_").skip(1).filter_map(|rest| rest.split_once('('));
    // One is a unit, and no measure.
    let is_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit()) && !text.starts_with("1)");
    time.into_iter().any(|(_, argument)| is_number(argument))
        || ["<< 10", "<< 20", "<< 30"].iter().any(|size| line.contains(size))
}

#[test]
fn times_and_sizes_stand_in_the_limits_of_their_crate() {
    // What measures and what shows has numbers of its own; the classes of blocks are the format's.
    let apart = ["crates/bench/", "crates/cli/src/demo/", "crates/blocks/src/block_size.rs"];
    let tests = ["tests", "tests.rs", "testing.rs", "vectors", "limits.rs"];
    let (mut faults, mut looked) = (Vec::new(), 0);
    for (path, text) in production() {
        let is_apart = apart.iter().any(|apart| path.starts_with(apart));
        if is_apart || path.components().any(|part| tests.iter().any(|tests| part.as_os_str() == *tests)) {
            continue;
        }
        looked += 1;
        let lines = before_tests(&text).lines().enumerate().filter(|(_, line)| states_a_limit(line));
        faults.extend(lines.map(|(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim())));
    }
    assert!(looked > 200, "the search finds what is there: {looked}");
    assert!(states_a_limit("busy_timeout(Duration::from_secs(5))") && states_a_limit("let buffer = vec![0; 1 << 20];"));
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The documents, those of decisions among them.
fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: &str| fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let all = ["", "docs", "docs/decisions", "docs/models"].into_iter().flat_map(in_folder);
    all.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The paths of this repository that a document names: as code from the root, or as a link from where it lies.
fn named_paths(document: &Path, text: &str) -> BTreeSet<PathBuf> {
    let folders = ["crates/", "docs/", "fuzz/", "scripts/", "tests/"];
    let code = text.split('`').skip(1).step_by(2).filter_map(|code| code.split_whitespace().next());
    let code = code.filter(|code| folders.iter().any(|folder| code.starts_with(folder))).map(|code| root().join(code));
    let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
    code.chain(links.map(|link| document.parent().unwrap().join(link))).collect()
}

#[test]
fn what_the_documents_name_is_there() {
    let mut named = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for path in named_paths(&document, &text) {
            named += 1;
            assert!(path.exists(), "{} names {}", document.display(), path.display());
        }
    }
    assert!(named > 30, "the search finds what is there: {named}");
    let gone = named_paths(Path::new("docs/one.md"), "see `crates/gone/src/lib.rs` and [two](two.md#part)");
    assert_eq!(gone, [root().join("crates/gone/src/lib.rs"), PathBuf::from("docs/two.md")].into());
}
