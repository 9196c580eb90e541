//! `sealpost mark`: shows a peer what was read of its messages, and that something is being written.

use sealpost_agent::{Mark, Marked};
use serde::Serialize;

use crate::{arguments, events, failure::Failure, home::Context, output, progress};

#[derive(Serialize)]
struct Shown {
    agent: String,
    /// "told"; "known" if there is nothing new to be told; "kept" if the peer cannot be told now.
    state: &'static str,
    /// Why it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(crate) async fn run(context: &Context, mark: arguments::Mark) -> Result<(), Failure> {
    let agent = context.open(&mark.agent.name).await?;
    let peer = context.resolve(&agent, &mark.peer).await?;
    let marked = agent.mark(peer, Mark { read: mark.read, typing: mark.typing });
    let (state, reason) = match progress::during("telling", marked).await? {
        Marked::Told => ("told", None),
        Marked::Known => ("known", None),
        Marked::Kept(why) => ("kept", why.map(|why| Failure::from(why).name().to_owned())),
    };
    let shown = Shown { agent: peer.to_string(), state, reason };
    let printed = output::print(context.json, &shown, || format!("{}  {}", shown.agent, shown.state));
    events::tell(context.json, &agent).await?;
    printed
}
