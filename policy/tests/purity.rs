//! The policy stays pure: nothing it depends on keeps time, draws random numbers, or talks to anyone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::process::Command;

#[test]
fn nothing_below_the_policy_does_io_or_draws_random_numbers() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["tree", "--offline", "--edges", "normal", "--target", "all", "--prefix", "none"];
    let tree =
        Command::new(env!("CARGO")).args(arguments).args(["--manifest-path", manifest]).output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(
        crates.contains(&"hookgate-policy") && crates.contains(&"sha2"),
        "not the tree that was meant: {tree}"
    );
    for impure in [
        "tokio",
        "redis",
        "reqwest",
        "hyper",
        "getrandom",
        "rand",
        "rand_core",
        "socket2",
        "mio",
        "proxy-wasm",
    ] {
        assert!(!crates.contains(&impure), "{impure} is below hookgate-policy");
    }
}
