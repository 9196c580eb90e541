//! What may be sent: text, files, standard input, bytes of any kind, up to a limit; to one or several.

use base64::{Engine, engine::general_purpose::STANDARD};
use sealpost_crypto::limits;
use sealpost_tests::Home;
use serde_json::Value;

use super::{assert_fields, relay_and_home, texts};

async fn receive_one(home: &Home, name: &str) -> Value {
    home.run(["receive", "--as", name, "--json"]).await.succeeded().document()
}

fn bytes_of(message: &Value) -> Vec<u8> {
    assert!(message.get("text").is_none(), "{message}");
    STANDARD.decode(message["bytes"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_file_arrives_as_its_bytes_under_its_name() {
    let (_relay, home) = relay_and_home().await;
    let content: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let path = home.path().join("all bytes.bin");
    std::fs::write(&path, &content).unwrap();
    home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
    let message = receive_one(&home, "bob").await;
    let fields = ["id", "from", "from_name", "bytes", "length", "file_name", "priority", "sent_at", "received_at"];
    assert_fields(&message, &fields);
    assert_eq!((bytes_of(&message), message["file_name"].as_str()), (content, Some("all bytes.bin")));
}

#[tokio::test]
async fn a_compressed_file_arrives_as_it_was_short_or_long() {
    let (_relay, home) = relay_and_home().await;
    let (path, folder) = (home.path().join("log.txt"), home.path().join("saved"));
    for lines in [1_000, 100_000] {
        let content = "the same line again and again\n".repeat(lines);
        std::fs::write(&path, &content).unwrap();
        let send = ["send", "--as", "alice", "bob", "--compress", "--file", path.to_str().unwrap()];
        home.run(send).await.succeeded();
        let shown = home.run(["receive", "--as", "bob"]).await.succeeded();
        assert!(shown.out.contains(&format!("log.txt ({} bytes)", content.len())), "{}", shown.out);
        home.run(["receive", "--as", "bob", "--save", folder.to_str().unwrap()]).await.succeeded();
        let saved: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(saved.len() == 1 && std::fs::read(&saved[0]).unwrap() == content.as_bytes(), "{saved:?}");
        std::fs::remove_file(&saved[0]).unwrap();
    }
}

#[tokio::test]
async fn for_people_a_file_stays_in_the_inbox_until_it_is_saved_and_never_over_another() {
    let (_relay, home) = relay_and_home().await;
    let (path, folder) = (home.path().join("file.bin"), home.path().join("saved"));
    let save = ["receive", "--as", "bob", "--save", folder.to_str().unwrap()];
    for content in [[1], [2]] {
        std::fs::write(&path, content).unwrap();
        home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
        for _ in 0..2 {
            let shown = home.run(["receive", "--as", "bob"]).await.succeeded();
            assert!(shown.out.contains("file.bin (1 bytes)"), "{}", shown.out);
        }
        home.run(save).await.succeeded();
        assert_eq!(home.run(["receive", "--as", "bob"]).await.succeeded().out, "");
    }
    let mut saved: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    saved.sort();
    assert_eq!(saved, [[1], [2]]);
    assert_eq!(std::fs::read(folder.join("file.bin")).unwrap(), [1], "the first keeps its name");
}

#[tokio::test]
async fn what_was_written_in_part_does_not_count_as_saved() {
    let (_relay, home) = relay_and_home().await;
    let (path, folder) = (home.path().join("file.bin"), home.path().join("saved"));
    std::fs::write(&path, "the whole content").unwrap();
    home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("file.bin"), "another's").unwrap();
    std::fs::write(folder.join("file (2).bin"), "the whole con").unwrap();
    let save = ["receive", "--as", "bob", "--json", "--save", folder.to_str().unwrap()];
    let saved = home.run(save).await.succeeded().document();
    assert_eq!(saved["saved_as"].as_str(), folder.join("file (3).bin").to_str());
    assert_eq!(std::fs::read(folder.join("file (3).bin")).unwrap(), b"the whole content");
}

#[tokio::test]
async fn two_files_of_one_name_and_content_are_saved_twice_and_each_path_is_told() {
    let (_relay, home) = relay_and_home().await;
    let (path, folder) = (home.path().join("file.bin"), home.path().join("saved"));
    std::fs::write(&path, "the same").unwrap();
    for _ in 0..2 {
        home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
    }
    let save = ["receive", "--as", "bob", "--json", "--save", folder.to_str().unwrap()];
    let expected = ["file.bin", "file (2).bin"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    for command in [[&save[..], &["--peek"]].concat(), save.to_vec()] {
        let saved = home.run(command).await.succeeded().documents();
        let paths: Vec<_> = saved.iter().map(|message| message["saved_as"].as_str().unwrap()).collect();
        assert_eq!(paths, expected, "looked at once more, they are the same files");
    }
    for saved in expected {
        assert_eq!(std::fs::read(saved).unwrap(), b"the same");
    }
}

#[tokio::test]
async fn a_folder_that_takes_no_file_is_told_once_and_keeps_everything_in_the_inbox() {
    let (_relay, home) = relay_and_home().await;
    let path = home.path().join("file.bin");
    std::fs::write(&path, "a file").unwrap();
    for _ in 0..3 {
        home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
    }
    home.run(["send", "--as", "alice", "bob", "a text"]).await.succeeded();
    let refused = home.run(["receive", "--as", "bob", "--save", "/proc/no-folder", "--json"]).await.exited(1);
    assert_eq!(refused.err.lines().count(), 2, "why, and how many: {}", refused.err);
    assert!(
        refused.err.contains("/proc/no-folder") && refused.err.contains("3 messages could not be saved"),
        "{}",
        refused.err
    );
    assert_eq!(refused.document()["text"], "a text", "what needs no folder is shown");
    let folder = home.path().join("saved");
    let saved = home.run(["receive", "--as", "bob", "--save", folder.to_str().unwrap(), "--json"]).await.succeeded();
    assert_eq!(saved.documents().len(), 3);
}

#[tokio::test]
async fn a_file_whose_name_other_systems_would_not_take_is_sent_under_one_that_they_do() {
    let (_relay, home) = relay_and_home().await;
    let folder = home.path().join("saved");
    for (name, expected) in [("a\\b.txt", "a_b.txt"), ("c\nd\u{1b}[2J.txt", "c_d_[2J.txt")] {
        let path = home.path().join(name);
        std::fs::write(&path, name).unwrap();
        home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
        let saved =
            home.run(["receive", "--as", "bob", "--save", folder.to_str().unwrap(), "--json"]).await.succeeded();
        assert_eq!(saved.document()["saved_as"].as_str(), folder.join(expected).to_str());
        assert_eq!(std::fs::read_to_string(folder.join(expected)).unwrap(), name);
    }
}

#[tokio::test]
async fn the_longest_of_names_jams_nothing_and_a_dot_hides_nothing() {
    let (_relay, home) = relay_and_home().await;
    let folder = home.path().join("saved");
    let longest = "x".repeat(255);
    for (name, content) in [(longest.as_str(), "1"), (&longest, "2"), (".profile", "3")] {
        let path = home.path().join(name);
        std::fs::write(&path, content).unwrap();
        home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
    }
    let received = home.run(["receive", "--as", "bob", "--save", folder.to_str().unwrap()]).await.succeeded();
    assert_eq!(received.out.lines().count(), 3, "{}", received.out);
    let mut names: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_by_key(String::len);
    assert_eq!((names.len(), names[0].as_str()), (3, "profile"), "{names:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_saved_stays_and_keeps_nothing_else_from_being_shown() {
    let (_relay, home) = relay_and_home().await;
    let (path, folder) = (home.path().join("file.bin"), home.path().join("saved"));
    std::fs::write(&path, "content").unwrap();
    home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "a text"]).await.succeeded();
    let no_folder = path.join("folder");
    let no_folder = no_folder.to_str().unwrap();
    let received = home.run(["receive", "--as", "bob", "--save", no_folder, "--json"]).await.exited(1);
    assert_eq!(texts(&received.documents()), ["a text"], "what could not be saved was not handed out");
    let received = home.run(["receive", "--as", "bob", "--save", folder.to_str().unwrap(), "--json"]).await.succeeded();
    assert_eq!(bytes_of(&received.document()), b"content");
}

#[tokio::test]
async fn standard_input_is_text_if_it_can_be_and_bytes_if_not_or_if_asked_for() {
    let (_relay, home) = relay_and_home().await;
    let text = "several\nlines, and ünïcödé 🦀\n";
    home.run_with_input(["send", "--as", "alice", "bob", "-"], text.as_bytes()).await.succeeded();
    assert_eq!(receive_one(&home, "bob").await["text"].as_str(), Some(text));
    home.run_with_input(["send", "--as", "alice", "bob", "-"], &[0xff, 0, 0xfe]).await.succeeded();
    assert_eq!(bytes_of(&receive_one(&home, "bob").await), [0xff, 0, 0xfe]);
    home.run_with_input(["send", "--as", "alice", "bob", "--file", "-"], text.as_bytes()).await.succeeded();
    let message = receive_one(&home, "bob").await;
    assert_eq!(bytes_of(&message), text.as_bytes());
    assert!(message.get("file_name").is_none());
    home.run_with_input(["send", "--as", "alice", "bob", "-"], b"").await.succeeded();
    assert_eq!(receive_one(&home, "bob").await["text"].as_str(), Some(""));
}

#[tokio::test]
async fn what_no_envelope_holds_is_kept_in_the_inbox_until_it_is_saved_and_arrives_whole() {
    let (_relay, home) = relay_and_home().await;
    let largest = vec![b'x'; limits::CONTENT];
    home.run_with_input(["send", "--as", "alice", "bob", "-"], &largest).await.succeeded();
    assert_eq!(receive_one(&home, "bob").await["text"].as_str().map(str::len), Some(limits::CONTENT));

    let content: Vec<u8> = (0..=250).cycle().take(3_500_000).collect();
    let path = home.path().join("film.bin");
    std::fs::write(&path, &content).unwrap();
    home.run_with_input(["send", "--as", "alice", "bob", "-", "--json"], &content).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "--file", path.to_str().unwrap()]).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "next"]).await.succeeded();

    let shown = home.run(["receive", "--as", "bob", "--json"]).await.succeeded().documents();
    assert_eq!(shown.len(), 3, "{shown:?}");
    for (message, name) in shown.iter().zip([None, Some("film.bin")]) {
        assert_eq!((message["length"].as_u64(), message["kept"].as_bool()), (Some(3_500_000), Some(true)), "{message}");
        assert_eq!(message.get("file_name").and_then(Value::as_str), name);
        assert!(message.get("bytes").is_none() && message.get("text").is_none());
    }
    assert_eq!(shown[2]["text"], "next");
    let told = home.run(["receive", "--as", "bob"]).await.succeeded();
    assert!(told.out.contains("film.bin (3500000 bytes); it stays in the inbox: receive with --save"), "{}", told.out);

    let folder = home.path().join("saved");
    let saved = home.run(["receive", "--as", "bob", "--json", "--save", folder.to_str().unwrap()]).await.succeeded();
    for message in saved.documents() {
        assert!(message.get("kept").is_none(), "{message}");
        assert!(std::fs::read(message["saved_as"].as_str().unwrap()).unwrap() == content, "{message}");
    }
    assert_eq!(saved.documents().len(), 2);
    assert!(home.run(["receive", "--as", "bob", "--json"]).await.succeeded().documents().is_empty());
    assert_eq!(std::fs::read_dir(home.path().join("bob/spool")).unwrap().count(), 0, "nothing is left of it");
}

#[tokio::test]
async fn several_recipients_are_separated_by_commas() {
    let (_relay, home) = relay_and_home().await;
    let carol = home.agent("carol").await;
    let to = format!("bob,{carol}, bob");
    let sent = home.run(["send", "--as", "alice", &to, "to both", "--json"]).await.succeeded().document();
    assert_eq!(sent["recipients"].as_array().map(Vec::len), Some(2), "each once: {sent}");
    for name in ["bob", "carol"] {
        let received = home.run(["receive", "--as", name, "--json"]).await.succeeded().documents();
        assert_eq!(texts(&received), ["to both"]);
        assert_eq!(received[0]["id"], sent["id"]);
    }
    let id = sent["id"].as_str().unwrap();
    let status = home.run(["status", "--as", "alice", id, "--json"]).await.succeeded().document();
    let states: Vec<_> =
        status["recipients"].as_array().unwrap().iter().map(|one| (&one["state"], &one["receipt"])).collect();
    assert_eq!(states, [(&Value::from("delivered"), &Value::from("verified")); 2]);
}
