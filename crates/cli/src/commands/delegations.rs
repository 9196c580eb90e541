//! `sealpost agent delegate|delegations|revoke`: an agent lets others act for it, and takes that back.

use sealpost_agent::GrantedDelegation;
use sealpost_protocol::{Right, Rights};
use serde::Serialize;

use super::delegation::{ShownDelegation, write};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

pub(crate) async fn delegate(context: &Context, delegate: Delegate) -> Result<(), Failure> {
    let Delegate { name, may, life, file, label } = delegate;
    let rights = Rights::new(may.into_iter().map(Right::from)).ok_or_else(|| Failure::usage("name a right"))?;
    if file.exists() {
        return Err(Failure::usage(format!("{} exists already", file.display())));
    }
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
    progress::during("revoking", revoking).await?;
    let ids = delegations.iter().map(ToString::to_string).collect();
    let revoked = Revoked { id: agent.id().to_string(), revoked: ids, all };
    output::print_done(context.json, &revoked, || match all {
        true => format!("nobody acts for {name} any more by a delegation of until now"),
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
            revoked_at: granted.revoked.map(|at| at.to_string()),
        }
    }
}

impl Listed {
    fn to_text(&self) -> String {
        let revoked = self.revoked_at.as_ref().map(|at| format!(", revoked {at}")).unwrap_or_default();
        let label = if self.label.is_empty() { String::new() } else { format!("  {}", output::one_line(&self.label)) };
        format!("{}  {} until {}{revoked}{label}", self.id, self.rights.join(" and "), self.until)
    }
}
