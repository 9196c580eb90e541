//! `sealpost agent verify|trust|contacts`: whom names mean, and that no one stands in between.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use sealpost_agent::Fingerprint;
use sealpost_protocol::AgentId;
use serde::Serialize;

use crate::{failure::Failure, home::Context, output};

#[derive(Serialize)]
struct Verified {
    contact: String,
    id: String,
    own_id: String,
    /// In groups of five digits.
    fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_at: Option<String>,
}

pub(crate) async fn verify(context: &Context, own: &str, contact: String, digits: &[String]) -> Result<(), Failure> {
    let agent = context.open(own).await?;
    let peer = context.resolve(&agent, &contact).await?;
    if peer == agent.id() {
        return Err(Failure::usage(format!("{own} and {contact} are the same agent: there is nothing to compare")));
    }
    let fingerprint = Fingerprint::of(agent.id(), peer);
    if !digits.is_empty() && !agent.verify(peer, &digits.concat()).await.map_err(state)? {
        return Err(Failure::mismatch(format!(
            "that is not the fingerprint of {own} and {contact}: {fingerprint}; someone may stand in between"
        )));
    }
    let verified_at = agent.verified(peer).await.map_err(state)?.map(|time| time.to_string());
    let own_id = agent.id().to_string();
    let shown = Verified { contact, id: peer.to_string(), own_id, fingerprint: fingerprint.to_string(), verified_at };
    let code = code(&fingerprint)?;
    let text = || shown.to_text(&code);
    match digits {
        [] => output::print(context.json, &shown, text),
        _ => output::print_done(context.json, &shown, text),
    }
}

impl Verified {
    fn to_text(&self, code: &str) -> String {
        let (first, second) = self.fingerprint.split_at(self.fingerprint.len() / 2);
        let verified = match &self.verified_at {
            Some(time) => format!("verified {time}"),
            None => format!("not verified: compare it with what {} sees, then give it to this command", self.contact),
        };
        let [first, second] = [first, second].map(str::trim);
        format!("{code}\n{first}\n{second}\n\n{}  {}\n{verified}", self.contact, self.id)
    }
}

/// The digits as a QR code, two rows of it in a line.
fn code(fingerprint: &Fingerprint) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(fingerprint.digits(), EcLevel::M);
    let code = code.map_err(|error| Failure::other(error.to_string()))?;
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[derive(Serialize)]
struct ShownContact {
    contact: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_at: Option<String>,
}

pub(crate) async fn trust(context: &Context, own: &str, contact: String, id: Option<AgentId>) -> Result<(), Failure> {
    let agent = context.open(own).await?;
    context.folder(&contact)?;
    context.check_no_id(&contact)?;
    let id = match id {
        Some(id) => id,
        None => context.local(&contact).await?.ok_or_else(|| {
            Failure::usage(format!("there is no agent {contact} here: give the id that the name is to mean"))
        })?,
    };
    agent.set_contact(&contact, id).await.map_err(state)?;
    let verified_at = agent.verified(id).await.map_err(state)?.map(|time| time.to_string());
    let shown = ShownContact { contact, id: id.to_string(), verified_at };
    output::print_done(context.json, &shown, || format!("{}  {}", shown.contact, shown.id))
}

pub(crate) async fn list(context: &Context, own: &str) -> Result<(), Failure> {
    let agent = context.open(own).await?;
    for contact in agent.contacts().await.map_err(state)? {
        let verified_at = contact.verified.map(|time| time.to_string());
        let shown = ShownContact { contact: contact.name, id: contact.agent.to_string(), verified_at };
        output::print(context.json, &shown, || {
            let verified = shown.verified_at.as_ref().map(|time| format!("  verified {time}")).unwrap_or_default();
            format!("{}  {}{verified}", shown.contact, shown.id)
        })?;
    }
    Ok(())
}

fn state(error: sealpost_agent::StateError) -> Failure {
    Failure::local_state(error.to_string())
}
