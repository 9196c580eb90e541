//! `sealpost mark`: shows a peer what was read of its messages, and that something is being written.

use sealpost_agent::{Mark, Marked, NotTold};
use serde::Serialize;

use crate::{arguments, events, failure::Failure, home::Context, output, progress};

/// What becomes of a mark that is not told.
const TRAVELS: &str = "how far was read travels with the next mark or answer";

#[derive(Serialize)]
struct Shown {
    agent: String,
    /// "told"; "known" if there is nothing new to be told; "not-told" if the peer cannot be told now.
    state: &'static str,
    /// Why it is not told: "no-session", "mail-waits", or what is wrong with the relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(crate) async fn run(context: &Context, mark: arguments::Mark) -> Result<(), Failure> {
    let agent = context.open(&mark.agent.name).await?;
    let peer = context.resolve(&agent, &mark.peer).await?;
    let marked = agent.mark(peer, Mark { read: mark.read, typing: mark.typing });
    let (state, not_told) = match progress::during("telling", marked).await? {
        Marked::Told => ("told", None),
        Marked::Known => ("known", None),
        Marked::NotTold(why) => ("not-told", Some(why)),
    };
    let (reason, words, failure) = match not_told {
        None => (None, "", None),
        Some(NotTold::NoSession) => {
            (Some("no-session".to_owned()), "there is no session with it, or it has not answered in it", None)
        }
        Some(NotTold::MailWaits) => (Some("mail-waits".to_owned()), "mail for it waits to go out first", None),
        Some(NotTold::Relay(error)) => {
            let failure = Failure::from(error);
            (Some(failure.name().to_owned()), "", Some(failure.with(TRAVELS)))
        }
    };
    let shown = Shown { agent: peer.to_string(), state, reason };
    let who = context.shown(&agent, peer).await;
    let printed = output::print_done(context.json, &shown, || match words {
        "" => format!("{who}  {}", shown.state),
        words => format!("{who}  {}: {words}; {TRAVELS}", shown.state),
    });
    events::tell_beside(context, &agent).await;
    output::end(context.json, printed, failure)
}
