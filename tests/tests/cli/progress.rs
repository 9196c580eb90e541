//! Signs of life: what takes over a second shows on a terminal how far it has come, and nowhere else.

use std::fs::{self, File};

use super::relay_and_home;

/// Bytes of a file that no machine seals or writes within a second; it is sparse, and compresses to next to nothing.
const LENGTH: u64 = 4 << 30;

/// What a bar ends with that shows so many bytes.
const OF_ALL: &str = "/4.00 GiB";

#[tokio::test]
async fn sealing_and_saving_show_how_far_they_have_come_on_a_terminal() {
    let (_relay, home) = relay_and_home().await;
    let path = home.path().join("large.bin");
    File::create(&path).unwrap().set_len(LENGTH).unwrap();
    let file = path.to_str().unwrap();

    let mut sealing = home.on_terminal(["send", "--as", "alice", "bob", "--file", file]);
    let shown = sealing.shows(OF_ALL).await;
    assert!(shown.contains("sealing [") && !shown.contains("uploading"), "{shown:?}");
    drop(sealing);

    let send = ["send", "--as", "alice", "bob", "--compress", "--file", file, "--json"];
    let sent = home.run(send).await.succeeded();
    assert_eq!(sent.err, "", "no bars but on a terminal");
    let (id, folder) = (sent.document()["id"].as_str().unwrap().to_owned(), home.path().join("saved"));
    let waiting = home.run(["receive", "--as", "bob", "--json"]).await.succeeded().document();
    assert_eq!((waiting["waiting_reason"].as_str(), waiting["length"].as_u64()), (Some("stranger"), Some(LENGTH)));
    let shown = home.run(["receive", "--as", "bob"]).await.succeeded().out;
    assert!(shown.contains(&format!(", {LENGTH} when decompressed; its sender is no contact")), "{shown}");

    let save = ["receive", "--as", "bob", "--fetch", &id, "--save", folder.to_str().unwrap()];
    let mut saving = home.on_terminal(save);
    let shown = saving.shows(OF_ALL).await;
    assert!(shown.contains("saving ["), "{shown:?}");
    drop(saving);
    assert!(fs::read_dir(&folder).unwrap().all(|file| file.unwrap().file_name() != "large.bin"), "it was cut short");
}

#[tokio::test]
async fn what_takes_no_time_shows_no_bar() {
    let (_relay, home) = relay_and_home().await;
    let (exit, shown) = home.on_terminal(["send", "--as", "alice", "bob", "hello"]).ended().await;
    assert_eq!(exit, 0, "{shown:?}");
    assert!(shown.contains("accepted") && !shown.contains('[') && !shown.contains("sealing"), "{shown:?}");
}
