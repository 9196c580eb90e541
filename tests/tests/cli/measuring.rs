//! `sealpost bench`: figures for people and for programs.

use sealpost_tests::Home;

/// Nobody is asked.
const NO_RELAY: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn a_relay_is_measured_beside_its_echo() {
    let home = Home::new(NO_RELAY);
    let asked = ["bench", "relay", "--seconds", "1", "--clients", "1", "--inflight", "2", "--json"];
    let figures = home.run(asked).await.succeeded().document();
    for name in ["accepted_per_s", "echo_per_s", "fdatasync_per_s", "p50_us", "p99_us"] {
        assert!(figures[name].as_f64().unwrap() > 0.0, "{name}: {figures}");
    }
}

#[tokio::test]
async fn the_block_store_is_measured_beside_its_ceilings() {
    let home = Home::new(NO_RELAY);
    let figures =
        home.run(["bench", "blocks", "--mib", "16", "--messages", "1000", "--json"]).await.succeeded().document();
    for name in [
        "write_mb_s",
        "disk_mb_s",
        "read_mb_s",
        "memory_mb_s",
        "peak_rss_mb",
        "overhead_pooled",
        "overhead_fresh",
        "overhead_100b",
        "overhead_after_delete",
        "overhead_compacted",
    ] {
        assert!(figures[name].as_f64().unwrap() > 0.0, "{name}: {figures}");
    }
    // These hang on the store alone, not on the machine.
    for (name, at_most) in [("overhead_pooled", 1.1), ("overhead_fresh", 2.1), ("peak_rss_mb", 200.0)] {
        assert!(figures[name].as_f64().unwrap() <= at_most, "{name}: {figures}");
    }
    for (name, at_most) in [("overhead_pooled_by_size", 1.15), ("overhead_fresh_by_size", 2.3)] {
        assert!(figures[name]["one_mib"].as_f64().unwrap() <= at_most, "{name}: {figures}");
    }
    assert_eq!((&figures["within"], &figures["missed"]), (&true.into(), &serde_json::json!([])), "{figures}");
}

#[tokio::test]
async fn what_cannot_be_measured_is_said() {
    let home = Home::new(NO_RELAY);
    for asked in [
        ["relay", "--clients", "0"],
        ["relay", "--inflight", "1"],
        ["relay", "--seconds", "0"],
        ["relay", "--size", "99999999999"],
        ["blocks", "--mib", "1"],
        ["blocks", "--folder", "/nowhere"],
    ] {
        let failed = home.run(["bench", asked[0], asked[1], asked[2], "--json"]).await.exited(2);
        assert!(failed.err.contains("usage") && failed.out.is_empty(), "{asked:?}: {}", failed.err);
    }
}
