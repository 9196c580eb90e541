//! Other agents' names here, and whose fingerprints were compared.
//!
//! An id cannot change its key. A name can come to mean another id, and then nothing is sent by it until someone has
//! decided; so names are remembered from their first use.

use std::fmt;

use sealpost_protocol::{AgentId, Timestamp, encoding::Writer};
use sha2::{Digest, Sha512};

use crate::{
    Agent, StateError,
    conflicts::retry_conflicts,
    limits,
    records::{ContactRecord, VerifiedRecord},
    store::Changes,
};

const LABEL: &[u8] = b"sealpost/v1/fingerprint";

/// Digits of one agent's half of a [`Fingerprint`]: some 99 bits, out of reach for a search for another key.
const DIGITS: usize = 30;

/// What two people read to each other to know that no one stands between their agents: 60 digits, the same at both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

/// A name and whom it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The name.
    pub name: String,
    /// The agent.
    pub agent: AgentId,
    /// When the fingerprints were compared, if they were.
    pub verified: Option<Timestamp>,
}

impl Fingerprint {
    /// Of a pair of agents; their order does not matter.
    #[must_use]
    pub fn of(one: AgentId, other: AgentId) -> Self {
        Self(digits(one.min(other)) + &digits(one.max(other)))
    }

    /// Its digits, without blanks.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Whether `text` has the same digits; blanks, line breaks and hyphens do not count.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let skipped = |character: &char| !character.is_whitespace() && *character != '-';
        text.chars().filter(skipped).eq(self.0.chars())
    }
}

/// In groups of five.
impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, digit) in self.0.chars().enumerate() {
            let blank = if place > 0 && place.is_multiple_of(5) { " " } else { "" };
            write!(formatter, "{blank}{digit}")?;
        }
        Ok(())
    }
}

/// One agent's digits: each five bytes of a hash of its id, which stands for its key, give five.
fn digits(agent: AgentId) -> String {
    let mut input = Writer::new();
    input.bytes(LABEL).value(&agent);
    let hash = Sha512::digest(input.into_bytes());
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) % 100_000;
    hash.chunks(5).take(DIGITS / 5).map(|bytes| format!("{:05}", number(bytes))).collect()
}

impl Agent {
    /// Whom a name means here, if it was used before.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn contact(&self, name: &str) -> Result<Option<AgentId>, StateError> {
        Ok(self.store.find::<ContactRecord>(name.as_bytes()).await?.map(|known| known.value.agent))
    }

    /// Lets a name mean an agent from now on.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn set_contact(&self, name: &str, agent: AgentId) -> Result<(), StateError> {
        retry_conflicts(|| self.try_set_contact(name, agent)).await
    }

    async fn try_set_contact(&self, name: &str, agent: AgentId) -> Result<(), StateError> {
        let known = self.store.find::<ContactRecord>(name.as_bytes()).await?;
        let mut changes = Changes::default();
        changes.upsert(name.as_bytes(), known.as_ref(), &ContactRecord { agent });
        Ok(self.store.commit(changes).await?)
    }

    /// All names, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn contacts(&self) -> Result<Vec<Contact>, StateError> {
        let mut contacts = Vec::new();
        let mut after = Vec::new();
        loop {
            let rows = self.store.list::<ContactRecord>(&[], &after, limits::ROWS).await?;
            let Some(last) = rows.last() else { return Ok(contacts) };
            after.clone_from(&last.key);
            for row in rows {
                let agent = row.value.agent;
                let name = String::from_utf8_lossy(&row.key).into_owned();
                contacts.push(Contact { name, agent, verified: self.verified(agent).await? });
            }
        }
    }

    /// When the fingerprints of this agent and `peer` were compared, if they were.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn verified(&self, peer: AgentId) -> Result<Option<Timestamp>, StateError> {
        Ok(self.store.find::<VerifiedRecord>(peer.as_bytes()).await?.map(|known| known.value.at))
    }

    /// Compares the fingerprint that was read to this agent with its own. Returns whether they match; if so, that is noted.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn verify(&self, peer: AgentId, read: &str) -> Result<bool, StateError> {
        if !Fingerprint::of(self.id(), peer).matches(read) {
            return Ok(false);
        }
        let known = self.store.find::<VerifiedRecord>(peer.as_bytes()).await?;
        let mut changes = Changes::default();
        changes.upsert(peer.as_bytes(), known.as_ref(), &VerifiedRecord { at: self.clock.now() });
        self.store.commit(changes).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_read_the_same_sixty_digits_and_another_pair_does_not() {
        let [alice, bob, mallory] = [1, 2, 3].map(|byte| AgentId::from_array([byte; 32]));
        let fingerprint = Fingerprint::of(alice, bob);
        assert_eq!(fingerprint, Fingerprint::of(bob, alice));
        assert_ne!(fingerprint, Fingerprint::of(alice, mallory));
        assert_eq!(fingerprint.digits().len(), 2 * DIGITS);
        assert!(fingerprint.digits().bytes().all(|byte| byte.is_ascii_digit()));
        let shown = fingerprint.to_string();
        assert_eq!(shown.split(' ').map(str::len).collect::<Vec<_>>(), [5; 12]);
        assert!(fingerprint.matches(&shown) && fingerprint.matches(&shown.replace(' ', "-\n")));
        assert!(!fingerprint.matches(&shown[..70]) && !fingerprint.matches(&format!("{shown}0")));
    }
}
