//! `sealpost agent delegate|delegations|revoke`: an agent lets others act for it, and takes that back.

use sealpost_agent::{DelegationsError, GrantedDelegation};
use sealpost_protocol::{Right, Rights};
use serde::Serialize;

use super::delegation::{ShownDelegation, check_new, write};
use crate::{
    arguments::{Delegate, Revoke},
    failure::Failure,
    home::Context,
    output, progress,
};

#[derive(Serialize)]
struct Listed {
    id: String,
    label: String,
    rights: Vec<&'static str>,
    created_at: String,
    until: String,
    node_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    /// The relay has not heard so yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    untold: bool,
}

pub(crate) async fn delegate(context: &Context, delegate: Delegate) -> Result<(), Failure> {
    let Delegate { name, may, life, file, label } = delegate;
    let rights = Rights::new(may.into_iter().map(Right::from)).ok_or_else(|| Failure::usage("name a right"))?;
    check_new(&file)?;
    let agent = context.open(&name).await?;
    let delegation = progress::during("making a delegation", agent.delegate(rights, life, &label)).await?;
    write(&file, &delegation).map_err(|failure| {
        let id = delegation.id();
        failure.with(&format!(
            "the delegation {id} is made and nobody has it: end it with `sealpost agent revoke {name} {id}`"
        ))
    })?;
    let shown = ShownDelegation::new(&delegation, Some(&file));
    output::print_done(context.json, &shown, || shown.to_text())
}

pub(crate) async fn list(context: &Context, name: String) -> Result<(), Failure> {
    for granted in context.open(&name).await?.delegations().await? {
        let listed = Listed::from(granted);
        output::print(context.json, &listed, || listed.to_text())?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Revoked {
    id: String,
    /// Empty if all were.
    revoked: Vec<String>,
    all: bool,
}

pub(crate) async fn revoke(context: &Context, revoke: Revoke) -> Result<(), Failure> {
    let Revoke { name, delegations, all } = revoke;
    let agent = context.open(&name).await?;
    let revoking = async {
        match all {
            true => agent.revoke_all().await,
            false => agent.revoke(&delegations).await,
        }
    };
    progress::during("revoking", revoking).await.map_err(|error| match error {
        DelegationsError::Relay(error) => Failure::from(error)
            .with("it is noted here what is revoked, and told to the relay by the next `receive` that reaches it"),
        error => error.into(),
    })?;
    let ids = delegations.iter().map(ToString::to_string).collect();
    let revoked = Revoked { id: agent.id().to_string(), revoked: ids, all };
    output::print_done(context.json, &revoked, || match all {
        true => format!("nobody acts for {name} at {} any more by a delegation of until now", context.relay.origin),
        false => format!("nobody acts for {name} any more by {}", revoked.revoked.join(", ")),
    })
}

impl From<GrantedDelegation> for Listed {
    fn from(granted: GrantedDelegation) -> Self {
        Self {
            id: granted.id.to_string(),
            label: granted.label,
            rights: granted.rights.iter().map(Right::as_str).collect(),
            created_at: granted.created.to_string(),
            until: granted.until.to_string(),
            node_id: granted.node.to_string(),
            revoked_at: granted.revoked.map(|at| at.to_string()),
            untold: granted.revoked.is_some() && !granted.is_told,
        }
    }
}

impl Listed {
    fn to_text(&self) -> String {
        let untold = if self.untold { ", which the relay has not heard yet" } else { "" };
        let revoked = self.revoked_at.as_ref().map(|at| format!(", revoked {at}{untold}")).unwrap_or_default();
        let label = if self.label.is_empty() { String::new() } else { format!("  {}", output::one_line(&self.label)) };
        format!("{}  {} until {}{revoked}{label}", self.id, self.rights.join(" and "), self.until)
    }
}
