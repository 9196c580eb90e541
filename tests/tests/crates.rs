//! The house's plan, held by Cargo's own graph: who may use whom, and that nothing on the carrier's side can
//! open a message.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests: the first surprise ends them")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// What each crate may use of ours, in builds that are not tests.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("protocol", &[]),
    ("api", &["protocol"]),
    ("sqlite", &[]),
    ("crypto", &["protocol"]),
    ("agent", &["protocol", "api", "crypto", "sqlite"]),
    ("blocks", &[]),
    ("core", &["protocol"]),
    ("storage", &["core", "protocol", "blocks", "sqlite"]),
    ("relay", &["core", "storage", "protocol", "api"]),
    ("bench", &["relay", "blocks", "agent", "crypto", "api", "protocol"]),
    ("cli", &["relay", "agent", "bench", "api", "protocol"]),
];

/// The carrier's side.
const CARRIER: [&str; 4] = ["relay", "core", "storage", "blocks"];

/// What can open a message, or holds an agent's secret.
const SECRETS: [&str; 2] = ["crypto", "agent"];

/// The member that uses both sides, whole as it is tested.
const TESTS: &str = "tests";

const PREFIX: &str = "sealpost-";

struct House {
    metadata: Metadata,
}

impl House {
    fn look() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        Self { metadata: MetadataCommand::new().manifest_path(manifest).exec().unwrap() }
    }

    /// Our crates under their short names, which are also their folders'.
    fn crates(&self) -> BTreeMap<&str, &Package> {
        let packages = self.metadata.workspace_packages();
        packages
            .into_iter()
            .map(|package| (short_name(&package.name).expect("our crates are named alike"), package))
            .collect()
    }

    /// Everything that a crate links, or runs to be built: all but its tests' own.
    fn reachable(&self, from: &PackageId) -> BTreeSet<&str> {
        let nodes = &self.metadata.resolve.as_ref().expect("the graph").nodes;
        let dependencies: BTreeMap<_, _> = nodes.iter().map(|node| (&node.id, &node.deps)).collect();
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(package) = open.pop() {
            for dependency in dependencies.get(package).into_iter().copied().flatten() {
                let is_linked = dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
                if is_linked && reached.insert(&dependency.pkg) {
                    open.push(&dependency.pkg);
                }
            }
        }
        reached.into_iter().map(|id| self.metadata[id].name.as_str()).collect()
    }
}

fn short_name(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)
}

#[test]
fn each_crate_uses_what_the_design_allows_and_no_more() {
    let house = House::look();
    let allowed: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let mut faults = Vec::new();
    for (name, package) in house.crates().into_iter().filter(|(name, _)| *name != TESTS) {
        let Some(allowed) = allowed.get(name) else {
            faults.push(format!("{name} has no place in the plan"));
            continue;
        };
        let linked = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        let ours = linked.filter_map(|dependency| short_name(&dependency.name));
        faults.extend(ours.filter(|used| !allowed.contains(used)).map(|used| format!("{name} must not use {used}")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn nothing_on_the_carriers_side_links_what_can_open_a_message() {
    let house = House::look();
    let crates = house.crates();
    assert!(crates.contains_key("relay") && crates.contains_key("core"), "the carrier's side is there");
    for (name, package) in crates.into_iter().filter(|(name, _)| CARRIER.contains(name)) {
        let reached = house.reachable(&package.id);
        for secret in SECRETS {
            assert!(!reached.contains(format!("{PREFIX}{secret}").as_str()), "{name} reaches {secret}");
        }
    }
}

#[test]
fn the_search_for_forbidden_crates_finds_what_is_there() {
    let house = House::look();
    let crates = house.crates();
    let reached = house.reachable(&crates["agent"].id);
    assert!(reached.contains("sealpost-crypto") && reached.contains("aws-lc-sys"), "directly, and through others");
    assert!(!house.reachable(&crates["crypto"].id).contains("vodozemac"), "what only tests use does not count");
}

#[test]
fn the_tests_are_no_part_of_what_is_published() {
    let house = House::look();
    let tests = house.crates()[TESTS];
    assert_eq!(tests.publish, Some(Vec::new()));
    for (name, package) in house.crates() {
        let uses_tests = package.dependencies.iter().any(|dependency| short_name(&dependency.name) == Some(TESTS));
        assert!(!uses_tests, "{name} uses the whole-system tests");
    }
}

#[test]
fn every_crate_of_ours_is_under_apache_2_and_in_the_folder_of_its_name() {
    let house = House::look();
    for (name, package) in house.crates() {
        assert_eq!(package.license.as_deref(), Some("Apache-2.0"), "{name}");
        let folder = package.manifest_path.parent().and_then(|folder| folder.file_name());
        assert_eq!(folder, Some(name));
    }
}
