//! One message under `recipient-keys` to as many recipients as there may be, each with keys of its own: what each of them
//! downloads is the header, the body and its own wrap, and nothing of the other 999.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::{collections::HashSet, sync::Arc, time::Instant};

use futures::{StreamExt, TryStreamExt, stream};
use sealpost_agent::{Outgoing, OutgoingScheme, SendOutcome};
use sealpost_api::v1;
use sealpost_protocol::{AgentId, Header, encoding::Decode, limits};
use sealpost_tests::{
    PATIENCE, Passed, Proxy, SdkAgent, TestRelay,
    plain::{Carrier, Credentials, Grpc, PlainAgent, sign_in},
    text, within_time,
};

/// Bytes of the text: long beside a wrap, so that a second copy would be seen.
const TEXT: usize = 20_000;

/// A signed part with a wrapped key.
const WRAP: usize = 182;

/// What else passes for a recipient: headers of HTTP, the proof of its token's key, framing.
const TALK: u64 = 4_096;

/// Recipients at work at a time.
const AT_A_TIME: usize = 16;

/// One of the recipients: its keys, and what it shows the relay.
struct Recipient {
    agent: PlainAgent,
    credentials: Credentials,
}

/// What one recipient has downloaded.
struct Download {
    header: Vec<u8>,
    wrap: Vec<u8>,
    body: usize,
}

/// Publishes an agent's prekeys.
async fn publish(origin: String) -> Recipient {
    let (agent, prekeys) = tokio::task::spawn_blocking(|| {
        let agent = PlainAgent::new();
        let prekeys = agent.prekeys();
        (agent, prekeys)
    })
    .await
    .unwrap();
    let credentials = sign_in::<Grpc>(&origin, &agent.identity).await;
    let mut carrier = Grpc::dial(&origin).await;
    carrier.present(credentials.clone());
    carrier.upload_prekeys(prekeys).await.unwrap();
    Recipient { agent, credentials }
}

/// Receives the message, and reads it with the agent's own key.
async fn download(recipient: Recipient, origin: String, sender: AgentId, expected: Arc<String>) -> Download {
    let mut carrier = Grpc::dial(&origin).await;
    carrier.present(recipient.credentials);
    let mut page = carrier.receive(v1::ReceiveRequest::default()).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    let entry = page.entries.remove(0);
    let header = Header::from_bytes(&entry.header).unwrap();
    let message_id = header.message().id.to_string();
    let request = v1::GetBodyRequest { sender: sender.to_string(), message_id, offset: 0 };
    let body = carrier.body(request).await.unwrap();
    let length = body.len();
    let wrap = entry.envelope.clone();
    let read = tokio::task::spawn_blocking(move || recipient.agent.read_wrapped(&entry, &body)).await.unwrap();
    assert!(read == expected.as_bytes(), "what was read is another");
    Download { header: header.as_bytes().to_vec(), wrap, body: length }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_thousand_recipients_downloads_header_body_and_its_own_wrap() {
    let proxy = Proxy::listen().await;
    let relay = TestRelay::start_behind(&[&proxy.origin()]).await;
    proxy.lead_to(relay.address());
    let begun = Instant::now();
    let publishing = stream::iter(0..limits::RECIPIENTS).map(|_| tokio::spawn(publish(proxy.origin())));
    let recipients: Vec<Recipient> = publishing.buffer_unordered(AT_A_TIME).try_collect().await.unwrap();
    let published = begun.elapsed();

    let alice = SdkAgent::new(&relay.origin()).await;
    let to: Vec<_> = recipients.iter().map(|recipient| recipient.agent.id()).collect();
    let words: Arc<String> = Arc::new("To each of you. ".chars().cycle().take(TEXT).collect());
    let outgoing = Outgoing::to(to, text(&words)).under(OutgoingScheme::RecipientKeys);
    let sent = within_time(2 * PATIENCE, "a message to a thousand", alice.send(outgoing)).await.unwrap();
    assert!(matches!(sent.outcome, SendOutcome::Accepted(_)), "{sent:?}");
    let accepted = begun.elapsed();

    let before = proxy.passed();
    let downloading = stream::iter(recipients)
        .map(|recipient| tokio::spawn(download(recipient, proxy.origin(), alice.id(), Arc::clone(&words))));
    let downloads: Vec<Download> = downloading.buffer_unordered(AT_A_TIME).try_collect().await.unwrap();
    let Passed { answers, .. } = proxy.passed();
    let read = begun.elapsed();
    println!("a thousand agents after {published:?}, accepted after {accepted:?}, read by all after {read:?}");

    let [first, ..] = downloads.as_slice() else { panic!("nobody has read it") };
    for download in &downloads {
        assert_eq!((&download.header, download.body), (&first.header, first.body), "header and body are everybody's");
        assert_eq!(download.wrap.len(), WRAP, "one wrap");
    }
    let wraps: HashSet<_> = downloads.iter().map(|download| &download.wrap).collect();
    assert_eq!(wraps.len(), limits::RECIPIENTS, "each has its own");
    let each = (answers - before.answers) / limits::RECIPIENTS as u64;
    let needed = (first.header.len() + WRAP + first.body) as u64;
    println!("{each} bytes came down for each, {needed} of them header, body and wrap");
    assert!((needed..needed + TALK).contains(&each), "{each} bytes came down for each, {needed} are needed");
    assert!(TALK < (WRAP * (limits::RECIPIENTS - 1)) as u64, "the wraps of the others would be seen");
}
