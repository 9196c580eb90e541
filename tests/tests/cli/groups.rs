//! `group`: founding one, changing it, and what is said of it.

use super::{assert_fields, relay_and_home};

const FIELDS: [&str; 6] = ["id", "name", "founder", "members", "epoch", "standing"];

#[tokio::test]
async fn a_group_is_founded_changed_shown_and_left() {
    let (_relay, home) = relay_and_home().await;
    let carol = home.agent("carol").await;
    let founded = home.run(["group", "new", "--as", "alice", "team", "bob", "--json"]).await.succeeded().document();
    assert_fields(&founded, &[&FIELDS[..], &["accepted", "kept"]].concat());
    assert_eq!((founded["accepted"].as_u64(), founded["kept"].as_u64()), (Some(1), Some(0)));
    let joined = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert!(joined.out.is_empty() && joined.err.contains("group:joined"), "{} {}", joined.out, joined.err);
    let shown = home.run(["group", "show", "--as", "bob", "team", "--json"]).await.succeeded().document();
    assert_fields(&shown, &FIELDS);
    assert_eq!((&shown["id"], shown["standing"].as_str()), (&founded["id"], Some("member")));

    let added = home.run(["group", "add", "--as", "alice", "team", "carol", "--json"]).await.succeeded().document();
    assert_eq!((added["members"].as_array().unwrap().len(), added["epoch"].as_u64()), (3, Some(0)));
    let rotated = home.run(["group", "rotate", "--as", "alice", "team", "--json"]).await.succeeded().document();
    assert_eq!(rotated["epoch"].as_u64(), Some(1));
    let removed = home.run(["group", "remove", "--as", "alice", "team", "bob", "--json"]).await.succeeded().document();
    assert_eq!((removed["members"].as_array().unwrap().len(), removed["epoch"].as_u64()), (2, Some(2)));
    home.run(["receive", "--as", "bob"]).await.succeeded();
    let listed = home.run(["group", "list", "--as", "bob", "--json"]).await.succeeded().documents();
    assert_eq!((listed.len(), listed[0]["standing"].as_str()), (1, Some("removed")));

    home.run(["receive", "--as", "carol"]).await.succeeded();
    let left = home.run(["group", "leave", "--as", "carol", "team", "--json"]).await.succeeded().document();
    assert_eq!(left["standing"].as_str(), Some("left"));
    let told = home.run(["receive", "--as", "alice", "--json"]).await.succeeded();
    assert!(told.err.contains("group:left") && told.err.contains(&carol), "{}", told.err);
    let text = home.run(["group", "list", "--as", "alice"]).await.succeeded().out;
    assert!(text.contains("epoch 3, member, founded by alice") && text.contains("members: alice"), "{text}");
}

#[tokio::test]
async fn a_name_that_cannot_be_told_from_another_or_typed_is_refused_when_a_group_is_founded() {
    let (_relay, home) = relay_and_home().await;
    let id = home.run(["group", "new", "--as", "alice", "team", "--json"]).await.succeeded().document()["id"].clone();
    let long = "x".repeat(65);
    let names = ["", " ", " team", "team ", "te\u{202e}am", "te\u{200b}am", "a\tb", "a\nb", "\u{1b}[2J", &long];
    for name in names.into_iter().chain(id.as_str()) {
        let refused = home.run(["group", "new", "--as", "alice", name, "--json"]).await.exited(2);
        assert!(refused.err.contains("\"usage\"") && refused.err.contains("name"), "{name:?}: {}", refused.err);
    }
    home.run(["group", "new", "--as", "alice", "équipe 🦀 “one”"]).await.succeeded();
    assert_eq!(home.run(["group", "list", "--as", "alice", "--json"]).await.succeeded().documents().len(), 2);
}

#[tokio::test]
async fn of_commands_that_found_groups_of_one_name_at_a_time_one_does_and_the_others_are_told() {
    let (_relay, home) = relay_and_home().await;
    let found = || home.run(["group", "new", "--as", "alice", "team", "bob", "--json"]);
    let ended: [sealpost_tests::Finished; 4] = tokio::join!(found(), found(), found(), found()).into();
    let founded: Vec<_> = ended.iter().filter(|ended| ended.exit == 0).collect();
    assert_eq!(founded.len(), 1, "{ended:?}");
    for refused in ended.iter().filter(|ended| ended.exit != 0) {
        assert!(refused.exit == 1 && refused.err.contains("\"name-taken\""), "{refused:?}");
    }
    let listed = home.run(["group", "list", "--as", "alice", "--json"]).await.succeeded().document();
    assert_eq!(listed["id"], founded[0].document()["id"]);
}

#[tokio::test]
async fn naming_nobody_is_a_usage_error_and_changes_nothing() {
    let (_relay, home) = relay_and_home().await;
    home.run(["group", "new", "--as", "alice", "team", "bob"]).await.succeeded();
    let before = home.run(["group", "show", "--as", "alice", "team", "--json"]).await.succeeded().document();
    for command in ["add", "remove"] {
        home.run(["group", command, "--as", "alice", "team"]).await.exited(2);
        for nobody in ["", " ", ",", "bob,"] {
            home.run(["group", command, "--as", "alice", "team", nobody]).await.exited(2);
        }
    }
    home.run(["group", "new", "--as", "alice", "other", ""]).await.exited(2);
    let listed = home.run(["group", "list", "--as", "alice", "--json"]).await.succeeded().documents();
    assert_eq!(listed, [before]);
    home.run(["group", "new", "--as", "alice", "alone"]).await.succeeded();
}

#[tokio::test]
async fn what_cannot_be_done_to_a_group_is_said() {
    let (_relay, home) = relay_and_home().await;
    let founded = home.run(["group", "new", "--as", "alice", "team", "bob", "--json"]).await.succeeded().document();
    home.run(["receive", "--as", "bob"]).await.succeeded();
    for (arguments, code, exit) in [
        (["group", "show", "--as", "alice", "no-such"].as_slice(), "usage", 2),
        (&["group", "show", "--as", "alice", "00000000-0000-0000-0000-000000000000"], "not-found", 1),
        (&["group", "rotate", "--as", "bob", "team"], "not-founder", 1),
        (&["group", "remove", "--as", "alice", "team", "alice"], "usage", 2),
        (&["group", "new", "--as", "alice", "two\nlines"], "usage", 2),
    ] {
        let failed = home.run(arguments.iter().chain(&["--json"])).await.exited(exit);
        assert!(failed.err.contains(&format!("\"code\":\"{code}\"")), "{arguments:?}: {}", failed.err);
    }
    let id = founded["id"].as_str().unwrap();
    let taken = home.run(["group", "new", "--as", "alice", "team", "--json"]).await.exited(1);
    assert!(taken.err.contains("\"code\":\"name-taken\"") && taken.err.contains(id), "{}", taken.err);
    let also = home.run(["group", "new", "--as", "bob", "other", "alice", "--json"]).await.succeeded().document();
    home.run(["group", "leave", "--as", "alice", "team"]).await.succeeded();
    home.run(["group", "new", "--as", "alice", "team"]).await.succeeded();
    assert_ne!(also["id"], founded["id"]);
}

#[tokio::test]
async fn an_invitation_may_bring_a_name_that_is_taken_and_then_ids_tell_them_apart() {
    let (_relay, home) = relay_and_home().await;
    let mine = home.run(["group", "new", "--as", "alice", "team", "bob", "--json"]).await.succeeded().document();
    home.run(["receive", "--as", "bob"]).await.succeeded();
    let theirs = home.run(["group", "new", "--as", "bob", "team", "alice", "--json"]).await.succeeded().document();
    let ids = [mine["id"].as_str().unwrap(), theirs["id"].as_str().unwrap()];
    let told = home.run(["receive", "--as", "alice"]).await.succeeded();
    assert!(told.err.contains(&format!("team ({})", &ids[1][..8])), "the event shows name and short id: {}", told.err);
    let ambiguous = home.run(["group", "show", "--as", "alice", "team"]).await.exited(2);
    assert!(ids.iter().all(|id| ambiguous.err.contains(id)), "{}", ambiguous.err);
    for id in ids {
        home.run(["group", "show", "--as", "alice", id]).await.succeeded();
    }
    home.run(["receive", "--as", "bob"]).await.succeeded();
    home.run(["send", "--as", "alice", "--group", ids[0], "to mine"]).await.succeeded();
    let shown = home.run(["receive", "--as", "bob"]).await.succeeded();
    assert!(shown.out.contains(&format!("[team ({})]", &ids[0][..8])), "{}", shown.out);
    let json = home.run(["receive", "--as", "alice", "--json"]).await.succeeded();
    assert!(!json.err.contains("group:joined"), "told once: {}", json.err);
}
