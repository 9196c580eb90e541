//! What `deny.toml` asks of everything that is linked, as far as Cargo's own graph can tell without the network: licences,
//! sources, bans. Advisories need a database of the day: `cargo deny check advisories`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "these are tests: the first surprise ends them"
)]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand, Package};
use spdx::{Expression, ParseMode};
use toml::{Table, Value};

struct Policy {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
    sources: Table,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every package of every feature, on every platform.
fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).features(CargoOpt::AllFeatures);
    command.other_options(["--locked".to_owned()]).exec().unwrap()
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

impl Policy {
    fn read() -> Self {
        let text = fs::read_to_string(root().join("deny.toml")).unwrap();
        let policy: Table = text.parse().unwrap();
        let banned = policy["bans"]["deny"].as_array().expect("a list");
        Self {
            licences: texts(&policy["licenses"]["allow"]),
            banned: banned.iter().map(|ban| ban["crate"].as_str().expect("a name").to_owned()).collect(),
            sources: policy["sources"].as_table().expect("a table").clone(),
        }
    }

    /// What is wrong with a licence, if anything is.
    fn fault(&self, licence: Option<&str>) -> Option<String> {
        let Some(licence) = licence else { return Some("names no licence".to_owned()) };
        // Old packages write "MIT/Apache-2.0".
        let mode = ParseMode { allow_slash_as_or_operator: true, ..ParseMode::STRICT };
        let expression = match Expression::parse_mode(licence, mode) {
            Ok(expression) => expression,
            Err(error) => return Some(format!("{licence}: {}", error.reason)),
        };
        let is_allowed = expression.evaluate(|requirement| self.licences.contains(&requirement.to_string()));
        (!is_allowed).then(|| format!("{licence} is not allowed"))
    }
}

#[test]
fn every_dependency_is_under_a_licence_that_is_allowed() {
    let (metadata, policy) = (metadata(), Policy::read());
    let fault = |package: &Package| Some(format!("{}: {}", package.name, policy.fault(package.license.as_deref())?));
    let faults: Vec<_> = metadata.packages.iter().filter_map(fault).collect();
    assert!(metadata.packages.len() > 100, "the dependencies are there");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_licence_is_allowed_if_each_of_its_terms_can_be_met() {
    let policy = Policy::read();
    for allowed in ["MIT", "MIT/Apache-2.0", "GPL-3.0-only OR ISC", "Apache-2.0 WITH LLVM-exception", "MIT AND Zlib"] {
        assert_eq!(policy.fault(Some(allowed)), None);
    }
    for refused in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "GPL-2.0-only WITH Classpath-exception-2.0", "whatever"] {
        assert!(policy.fault(Some(refused)).is_some(), "{refused}");
    }
    assert!(policy.fault(None).is_some());
}

#[test]
fn nothing_comes_from_git_or_from_another_registry() {
    let (metadata, policy) = (metadata(), Policy::read());
    assert_eq!(policy.sources["unknown-git"].as_str(), Some("deny"));
    assert_eq!(policy.sources["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(texts(&policy.sources["allow-git"]), BTreeSet::new());
    for package in &metadata.packages {
        match &package.source {
            None => assert!(metadata.workspace_members.contains(&package.id), "{} is a path outside", package.name),
            Some(source) => assert!(source.is_crates_io(), "{} comes from {source}", package.name),
        }
    }
}

/// Metadata names also what an optional feature of a dependency would bring; `cargo tree` only what is built.
#[test]
fn nothing_that_is_banned_is_linked() {
    let policy = Policy::read();
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--workspace", "--all-features", "--target", "all", "--locked", "--prefix", "none"]);
    let output = tree.args(["--format", "{p}"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let built: BTreeSet<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(built.contains("aws-lc-sys") && built.contains("sealpost-relay"), "the search finds what is there");
    let banned: Vec<_> = policy.banned.iter().filter(|name| built.contains(name.as_str())).collect();
    assert!(!policy.banned.is_empty() && banned.is_empty(), "{banned:?}");
}
