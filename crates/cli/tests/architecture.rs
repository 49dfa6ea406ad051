//! The arrows of ARCHITECTURE.md, held against what the crates really depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Who may know whom. A crate that is not listed here has no place in the picture yet.
const ALLOWED: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("pg", &[]),
    ("store", &["pg"]),
    ("identity", &["store"]),
    ("engine", &["pg"]),
    ("catalog", &["store"]),
    ("gateway", &[]),
    ("sync", &["pg"]),
    ("control", &["api", "catalog", "engine", "identity", "pg", "store"]),
    ("client", &["api"]),
    ("mcp", &["api", "client"]),
    (
        "server",
        &[
            "api", "catalog", "client", "control", "engine", "gateway", "identity", "mcp", "pg",
            "store", "sync",
        ],
    ),
    ("cli", &["api", "client", "mcp", "pg", "server", "sync"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--no-deps"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn names<'a>(values: &'a Value, kind: Option<&str>) -> impl Iterator<Item = &'a str> {
    let matches = kind.map(str::to_owned);
    values
        .as_array()
        .into_iter()
        .flatten()
        .filter(move |value| value["kind"].as_str().map(str::to_owned) == matches)
        .filter_map(|value| value["name"].as_str())
}

#[test]
fn dependencies_point_as_drawn() {
    let metadata = metadata();
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().and_then(|name| name.strip_prefix("lakeport-"));
        let name = name.expect("packages are named lakeport-<dir>");
        let may: BTreeSet<_> = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the picture"))
            .iter()
            .copied()
            .collect();
        let does: BTreeSet<_> = names(&package["dependencies"], None)
            .filter_map(|dependency| dependency.strip_prefix("lakeport-"))
            .collect();
        let beyond: Vec<_> = does.difference(&may).collect();
        assert!(beyond.is_empty(), "{name} may not depend on {beyond:?}");
    }
}

#[test]
fn heavy_and_foreign_things_stay_where_they_belong() {
    let metadata = metadata();
    let only = [
        ("axum", &["server"][..]),
        ("delta_kernel", &["sync"]),
        ("delta_kernel_default_engine", &["sync"]),
        ("reqwest", &["catalog", "client", "server"]),
        ("clap", &["cli"]),
        ("rmcp", &["mcp"]),
        ("rcgen", &["identity"]),
        ("jsonwebtoken", &["identity"]),
    ];
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().unwrap_or_default().trim_start_matches("lakeport-");
        for dependency in names(&package["dependencies"], None) {
            for (heavy, owners) in &only {
                assert!(
                    dependency != *heavy || owners.contains(&name),
                    "{dependency} belongs to {owners:?}, not to {name}"
                );
            }
        }
    }
}

#[test]
fn there_is_one_cryptography_provider() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "--prefix", "none"])
        .args(["--edges", "normal,build"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("aws-lc-rs"));
    for banned in ["ring", "openssl", "openssl-sys", "native-tls"] {
        assert!(!names.contains(banned), "{banned} is a second cryptography provider");
    }
}
