//! Where the `sealpost` binary is, and the SDK's example.
//!
//! Cargo tells a test where the binaries of its own package are, not where those of another are. This one is looked for
//! beside the test's own executable, in the folder of the same profile, and refused if one of its sources is newer: a test
//! of yesterday's program proves nothing.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::SystemTime,
};

/// Set to a binary's path, it is taken as it is.
const VARIABLE: &str = "SEALPOST_BINARY";

/// The `sealpost` binary.
///
/// # Panics
/// When it is missing or older than its sources; the message is the command that builds it.
pub fn sealpost_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os(VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => beside_this_test("sealpost", "-p sealpost-cli"),
    })
}

/// The program that shows how the SDK is used, `crates/agent/examples/echo.rs`.
///
/// # Panics
/// As [`sealpost_binary`].
pub fn echo_example() -> PathBuf {
    beside_this_test("examples/echo", "-p sealpost-agent --example echo")
}

fn beside_this_test(name: &str, target: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let folder = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
    let binary = folder.join(name);
    let profile = if folder.ends_with("release") { " --release" } else { "" };
    let command = format!("cargo build {target}{profile}");
    let Some(built) = modified(&binary) else { panic!("{} is missing: run `{command}`", binary.display()) };
    if let Some(newer) = sources(&binary).into_iter().find(|source| modified(source).is_some_and(|time| time > built)) {
        panic!("{} is older than {}: run `{command}`", binary.display(), newer.display());
    }
    binary
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// What the binary was made from, by Cargo's own list beside it: a rule of make, with blanks escaped.
fn sources(binary: &Path) -> Vec<PathBuf> {
    let rule = fs::read_to_string(binary.with_extension("d")).expect("Cargo lists the sources beside the binary");
    let (_, sources) = rule.trim().split_once(": ").expect("the list is a rule of make");
    sources.replace("\\ ", "\0").split(' ').map(|path| PathBuf::from(path.replace('\0', " "))).collect()
}
