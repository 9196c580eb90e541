//! The weakest scheme that an agent sends and takes messages under, by their type: policy at both ends, so that neither of
//! them alone can bring a message below what its type demands.
//!
//! A type stands inside the seal, where no relay can alter it; what a header says of it besides counts as well, and the
//! stricter of the two decides. What has no type, or one without a rule, falls under the agent's minimum. To begin with
//! that is `none`: a scheme is chosen by its sender, by name, and signed; whoever takes such a message is shown what it
//! came under, and keeping a public message out would keep nothing secret.

use std::collections::BTreeMap;

use sealpost_protocol::{MessageType, Scheme};

use crate::{
    Agent, SendError, StateError,
    conflicts::retry_conflicts,
    limits,
    records::PolicyRecord,
    store::{Changes, StoreAccessError},
};

/// What an agent sends and takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemePolicy {
    /// The weakest scheme of messages whose type has no rule, or that have none.
    pub minimum: Scheme,
    /// The weakest scheme of messages of a type.
    pub types: BTreeMap<String, Scheme>,
}

impl Agent {
    /// The policy of now.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn policy(&self) -> Result<SchemePolicy, StateError> {
        Ok(self.read_policy().await?)
    }

    async fn read_policy(&self) -> Result<SchemePolicy, StoreAccessError> {
        let mut policy =
            SchemePolicy { minimum: self.minimum_of(&[]).await?.unwrap_or(Scheme::None), types: BTreeMap::new() };
        let mut after = Vec::new();
        loop {
            let rows = self.store.list::<PolicyRecord>(&[], &after, limits::ROWS).await?;
            let Some(last) = rows.last() else { return Ok(policy) };
            after.clone_from(&last.key);
            for row in rows.iter().filter(|row| !row.key.is_empty()) {
                policy.types.insert(String::from_utf8_lossy(&row.key).into_owned(), row.value.minimum);
            }
        }
    }

    /// Sends and takes nothing under a weaker scheme than `minimum` from now on, of messages of that type, or of those
    /// without a rule of their own.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn set_minimum(&self, message_type: Option<&MessageType>, minimum: Scheme) -> Result<(), StateError> {
        retry_conflicts(|| async {
            let key = key(message_type);
            let known = self.store.find::<PolicyRecord>(key).await?;
            let mut changes = Changes::default();
            changes.upsert(key, known.as_ref(), &PolicyRecord { minimum });
            Ok::<_, StateError>(self.store.commit(changes).await?)
        })
        .await
    }

    /// Forgets the rule for a type; messages of it fall under the agent's minimum. Returns whether there was one.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn unset_minimum(&self, message_type: &MessageType) -> Result<bool, StateError> {
        retry_conflicts(|| async {
            let Some(known) = self.store.find::<PolicyRecord>(key(Some(message_type))).await? else { return Ok(false) };
            let mut changes = Changes::default();
            changes.delete(&known);
            self.store.commit(changes).await?;
            Ok::<_, StateError>(true)
        })
        .await
    }

    /// Whether a message of that type may be sent or taken under `scheme`.
    pub(crate) async fn permits(
        &self,
        scheme: Scheme,
        message_type: Option<&MessageType>,
    ) -> Result<bool, StoreAccessError> {
        Ok(scheme == Scheme::Ratchet || scheme >= self.minimum_for(message_type).await?)
    }

    /// Whether a message that has just come may turn out to be permitted: the type that its header names, if it names one,
    /// must permit the scheme; if it names none, some type must. The rest is decided when the seal is open.
    pub(crate) async fn may_permit(
        &self,
        scheme: Scheme,
        message_type: Option<&MessageType>,
    ) -> Result<bool, StoreAccessError> {
        if scheme == Scheme::Ratchet || message_type.is_some() {
            return self.permits(scheme, message_type).await;
        }
        let policy = self.read_policy().await?;
        Ok(policy.types.values().chain([&policy.minimum]).any(|minimum| scheme >= *minimum))
    }

    pub(crate) async fn check_permitted(
        &self,
        scheme: Scheme,
        message_type: Option<&MessageType>,
    ) -> Result<(), SendError> {
        match self.permits(scheme, message_type).await? {
            true => Ok(()),
            false => Err(SendError::BelowMinimum { scheme, minimum: self.minimum_for(message_type).await? }),
        }
    }

    async fn minimum_for(&self, message_type: Option<&MessageType>) -> Result<Scheme, StoreAccessError> {
        if message_type.is_some()
            && let Some(minimum) = self.minimum_of(key(message_type)).await?
        {
            return Ok(minimum);
        }
        Ok(self.minimum_of(&[]).await?.unwrap_or(Scheme::None))
    }

    async fn minimum_of(&self, key: &[u8]) -> Result<Option<Scheme>, StoreAccessError> {
        Ok(self.store.find::<PolicyRecord>(key).await?.map(|row| row.value.minimum))
    }
}

fn key(message_type: Option<&MessageType>) -> &[u8] {
    message_type.map_or(&[], |message_type| message_type.as_str().as_bytes())
}
