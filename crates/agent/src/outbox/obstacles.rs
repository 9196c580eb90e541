//! What keeps messages from going out: which of them holds up the others to the same recipients, and why it waits.

use std::collections::HashMap;

use sealpost_protocol::{AgentId, MessageId};

use crate::{
    Agent, SendError,
    records::ObstacleRecord,
    store::{Changes, StoreAccessError},
};

/// A message that was tried and waits; later ones to its recipients wait behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The message.
    pub message: MessageId,
    /// Why it waits: the refusal's stable code, or one of [`SendError::code`].
    pub reason: String,
}

impl Obstacle {
    /// Why a message waits that was refused lately, where nothing else is noted.
    pub(super) const PAUSES: &str = "pauses";

    /// Why a message waits whose body is not at the relay yet.
    pub(crate) const UPLOADS: &str = "uploading";

    pub(super) fn new(message: MessageId, reason: impl Into<String>) -> Self {
        Self { message, reason: reason.into() }
    }
}

/// Whose mail is held up in a round, and by what.
#[derive(Debug, Default)]
pub(super) struct HeldUp(HashMap<AgentId, Obstacle>);

impl HeldUp {
    /// What comes before a message to `recipients`, if anything does.
    pub(super) fn before(&self, recipients: &[AgentId]) -> Option<&Obstacle> {
        recipients.iter().find_map(|recipient| self.0.get(recipient))
    }

    /// Later messages to `recipients` wait, for whom the first of them waits for.
    pub(super) fn add(&mut self, recipients: &[AgentId], obstacle: &Obstacle) {
        for recipient in recipients {
            self.0.entry(*recipient).or_insert_with(|| obstacle.clone());
        }
    }
}

impl Agent {
    /// Why a message waits that was tried before.
    pub(super) async fn obstacle(&self, id: MessageId) -> Result<Option<Obstacle>, StoreAccessError> {
        let noted = self.store.find::<ObstacleRecord>(id.as_bytes()).await?;
        Ok(noted.map(|noted| Obstacle { message: id, reason: noted.value.code }))
    }

    /// Notes why a message waits, for whoever asks later.
    pub(super) async fn note_obstacle(&self, id: MessageId, error: &SendError) -> Result<Obstacle, StoreAccessError> {
        let known = self.store.find::<ObstacleRecord>(id.as_bytes()).await?;
        let code = error.code();
        if known.as_ref().is_none_or(|known| known.value.code != code) {
            let mut changes = Changes::default();
            let record = ObstacleRecord { code: code.clone(), at: self.clock.now() };
            changes.upsert(id.as_bytes(), known.as_ref(), &record);
            crate::agent::ignore_conflict(self.store.commit(changes).await)?;
        }
        Ok(Obstacle { message: id, reason: code })
    }

    /// A message waits no more: nothing stands in its way.
    pub(crate) async fn forget_obstacle(&self, changes: &mut Changes, id: MessageId) -> Result<(), StoreAccessError> {
        if let Some(known) = self.store.find::<ObstacleRecord>(id.as_bytes()).await? {
            changes.delete(&known);
        }
        Ok(())
    }
}
