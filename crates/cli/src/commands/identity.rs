//! `sealpost agent rekey|passphrase|export|import`: what an agent's store is sealed under, and its identity as a file.

use std::path::Path;

use sealpost_agent::{Agent, IdentityFile, MasterKeySource};
use serde::Serialize;

use crate::{
    arguments::{FilePassphrase, NewLock},
    failure::Failure,
    home::{self, Context},
    key_files::{KeyTurn, NewKey, remove_keys},
    limits, output, progress,
};

#[derive(Serialize)]
struct Changed {
    name: String,
    id: String,
    /// What opens it: "key-file" or "passphrase".
    opened_by: &'static str,
}

pub(crate) async fn rekey(context: &Context, name: String) -> Result<(), Failure> {
    let (folder, master) = context.unlock(&name).await?;
    progress::during("sealing everything anew", Agent::replace_store_key(&folder, master)).await?;
    shown(context, name, "has a new store key").await
}

/// The new key is there before the store is sealed under it, and the old one goes afterwards: whenever this ends, one of
/// those that are there opens the store.
pub(crate) async fn passphrase(context: &Context, name: String, new: NewLock) -> Result<(), Failure> {
    let (folder, master) = context.unlock(&name).await?;
    let passphrase = home::secret(new.new_passphrase_file.as_deref(), "SEALPOST_NEW_PASSPHRASE")?;
    let turn = KeyTurn::take(&folder)?;
    let changing = "stretching the passphrase";
    match passphrase {
        Some(passphrase) if !new.new_key_file => {
            let new = MasterKeySource::Passphrase(passphrase);
            progress::during(changing, Agent::replace_master_key(&folder, master, new)).await?;
            remove_keys(&folder, &turn)?;
        }
        _ if new.new_key_file => {
            let key = NewKey::make(&folder, &turn)?;
            progress::during(changing, Agent::replace_master_key(&folder, master, key.source()?)).await?;
            key.take_place()?;
        }
        _ => return Err(Failure::usage("give --new-passphrase-file, SEALPOST_NEW_PASSPHRASE or --new-key-file")),
    }
    shown(context, name, "is opened by another key now").await
}

#[derive(Serialize)]
struct Exported {
    name: String,
    id: String,
    file: String,
    bytes: usize,
}

pub(crate) async fn export(
    context: &Context,
    name: String,
    path: &Path,
    sealing: FilePassphrase,
) -> Result<(), Failure> {
    let agent = context.open(&name).await?;
    let passphrase = file_passphrase(&sealing)?;
    let file = progress::during("sealing the identity", agent.export(passphrase)).await?;
    home::write_new(path, &file)?;
    let exported = Exported { name, id: agent.id().to_string(), file: path.display().to_string(), bytes: file.len() };
    output::print_done(context.json, &exported, || format!("{} is sealed in {}", exported.name, exported.file))
}

pub(crate) async fn import(
    context: &Context,
    name: String,
    path: &Path,
    sealing: FilePassphrase,
) -> Result<(), Failure> {
    let passphrase = file_passphrase(&sealing)?;
    let file = home::read_up_to(path, limits::IDENTITY_FILE)?;
    let identity = progress::during("opening the identity", IdentityFile::open(&file, passphrase)).await?;
    let making = async {
        let (folder, master) = context.new_lock(&name).await?;
        Ok(progress::during("making the agent", identity.import(&folder, master)).await?)
    };
    super::agent::made(context, &name, making).await?;
    let agent = context.open(&name).await?;
    let published = super::agent::publish(&agent).await;
    let printed = shown(context, name, "is this agent now; it must not be used elsewhere any more").await;
    output::end(context.json, printed, published.err())
}

fn file_passphrase(sealing: &FilePassphrase) -> Result<zeroize::Zeroizing<String>, Failure> {
    home::secret(sealing.export_passphrase_file.as_deref(), "SEALPOST_EXPORT_PASSPHRASE")?
        .ok_or_else(|| Failure::usage("give --export-passphrase-file or SEALPOST_EXPORT_PASSPHRASE"))
}

async fn shown(context: &Context, name: String, what: &str) -> Result<(), Failure> {
    let folder = context.folder(&name)?;
    let id = Agent::identity_in(&folder).await?.agent_id().to_string();
    let opened_by = match Agent::lock_in(&folder).await? {
        sealpost_agent::Lock::Key => "key-file",
        sealpost_agent::Lock::Passphrase => "passphrase",
    };
    let changed = Changed { name, id, opened_by };
    output::print_done(context.json, &changed, || format!("{} {what}", changed.name))
}
