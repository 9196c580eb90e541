//! Finding the message that another one answers.

use sealpost_protocol::{AgentId, MessageId, MessageRef, encoding::Encode};

use crate::{
    Agent, StateError,
    records::{InboxRecord, SentRecord},
};

impl Agent {
    /// The messages with this id that came from one of these agents, or were sent from here, and are not forgotten: more than
    /// one only if a sender has taken another's id.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn answerable(&self, id: MessageId, senders: &[AgentId]) -> Result<Vec<MessageRef>, StateError> {
        let mut found = Vec::new();
        for sender in senders.iter().copied().filter(|sender| *sender != self.id()) {
            let message = MessageRef { sender, id };
            let received = self.store.find::<InboxRecord>(&message.to_bytes()).await?;
            found.extend(received.filter(|received| received.value.is_stored()).map(|_| message));
        }
        if self.is_kept(id).await? || self.store.find::<SentRecord>(id.as_bytes()).await?.is_some() {
            found.push(MessageRef { sender: self.id(), id });
        }
        Ok(found)
    }
}
