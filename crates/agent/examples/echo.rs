//! An agent that answers each message with what it says: the least that a program needs to live at a relay.
//!
//! `sealpost agent new echo` makes the agent; then, with its folder and the relay's address,
//! `cargo run -p sealpost-agent --example echo -- ./agents/echo http://127.0.0.1:7117` runs this, and from another agent
//! `sealpost send --as alice echo "Are you there?"` and `sealpost receive --as alice --wait 5s` show the answer.

use std::{env, error::Error, fs, path::Path};

use sealpost_agent::{
    Agent, InboxMessage, KeyFileProvider, MasterKeySource, Outgoing, Payload, RelayAddress, Round, SendOutcome,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, origin] = arguments.as_slice() else { return Err("usage: echo FOLDER RELAY".into()) };
    let agent = open(Path::new(folder), origin).await?;
    println!("{} listens", agent.id());

    let mut rounds = agent.follow();
    loop {
        if let Round::Interrupted { error, pause } = rounds.next().await? {
            eprintln!("{error}; again in {pause:?}");
        }
        let mut last = None;
        loop {
            let page = agent.unread(last.as_ref(), 100).await?;
            let Some(newest) = page.last() else { break };
            last = Some(newest.arrival.clone());
            for received in &page {
                answer(&agent, received).await?;
            }
        }
    }
}

async fn open(folder: &Path, origin: &str) -> Result<Agent, Box<dyn Error>> {
    let key = KeyFileProvider::from_contents(&fs::read(folder.join("master.key"))?)?;
    let agent = Agent::open(folder, MasterKeySource::Provider(Box::new(key))).await?;
    Ok(agent.connect(&RelayAddress { origin: origin.to_owned(), certificates: None }).await?)
}

/// The answer is durable before the message counts as taken: killed in between, this answers twice, but never not at all.
async fn answer(agent: &Agent, received: &InboxMessage) -> Result<(), Box<dyn Error>> {
    // A content that is too long to be held would be read with `Agent::open_body`; it is left unanswered.
    if let Some(payload) = received.payload() {
        let content = Payload { reply_to: Some(received.message), ..Payload::new(payload.content.clone()) };
        match agent.send(Outgoing::to([received.message.sender], content)).await {
            Ok(sent) => match sent.outcome {
                SendOutcome::Accepted(_) => println!("answered {}", received.message.id),
                SendOutcome::Kept(reason) => println!("answered {}, later: {reason}", received.message.id),
            },
            Err(refused) => eprintln!("no answer to {}: {refused}", received.message.id),
        }
    }
    Ok(agent.take(&[received.message]).await?)
}
