//! The Double Ratchet: who has which key, and what the next message changes.
//!
//! Sealing and opening never touch the state. They work out a [`Pending`] key and the change that goes with it; using
//! the key, which for an opening means that the tag verified, turns that into a [`Commit`]; and only a commit changes
//! the state. So nothing that a forger sends can move a session, and what fails leaves it as it was.
//!
//! A party makes its next ratchet key when it next seals, not when it opens (the specification's "deferring new ratchet
//! key generation"). After opening a new ratchet key of the peer it therefore holds no private key at all, and needs
//! none: the peer makes another one only in answer to ours.

mod encoding;
mod retired_keys;

use sealpost_protocol::{CurveKey, EnvelopeHeader, Timestamp};

use self::retired_keys::{RetiredKey, RetiredKeys};
use crate::{
    curve::CurvePrivateKey,
    kdf_chain::{ChainError, KdfChain, Link},
    limits,
    message_key_cache::{MessageKeyCache, MessagePosition, SkippedKey},
    pending::{Commit, Pending},
    primitives::Primitives,
    secret::{MessageKey, RootKey},
    session::{OpenError, SealError},
};

/// One party's half of a Double Ratchet.
pub(crate) struct Ratchet {
    root: RootKey,
    /// The peer's newest ratchet key; to begin with, the responder's signed prekey.
    remote: CurveKey,
    /// The chain under `remote`; none until the peer has sent.
    receiving: Option<KdfChain>,
    /// Our newest ratchet key and its chain; none while the next message we seal makes them.
    sending: Option<SendingChain>,
    /// How many messages our last chain had.
    previous_counter: u32,
    skipped: MessageKeyCache,
    retired: RetiredKeys,
}

pub(crate) struct SendingChain {
    own: CurvePrivateKey,
    chain: KdfChain,
}

/// What sealing a message changes.
pub(crate) enum Sent {
    /// The next key of our chain.
    Next(KdfChain),
    /// A new ratchet key, and the first key of its chain.
    Step(RootKey, SendingChain),
}

/// What opening a message changes.
pub(crate) enum Received {
    /// A skipped key is used up.
    Skipped(MessagePosition),
    /// The peer's chain moves on.
    Next { chain: KdfChain, skipped: MessageKeyCache },
    /// The peer has a new ratchet key.
    Step(ReceivedStep),
}

/// A Diffie-Hellman step of the peer.
pub(crate) struct ReceivedStep {
    root: RootKey,
    remote: CurveKey,
    /// The number after the last of the peer's old chain.
    old_end: u32,
    chain: KdfChain,
    skipped: MessageKeyCache,
}

/// Where a message that is being sealed stands.
pub(crate) struct SendingPosition {
    pub(crate) ratchet_key: CurveKey,
    pub(crate) counter: u32,
    pub(crate) previous_counter: u32,
}

impl Ratchet {
    /// The initiator's half: the first message it seals makes its first ratchet key, against the responder's signed
    /// prekey.
    pub(crate) fn initiator(root: RootKey, signed_prekey: CurveKey) -> Self {
        Self {
            root,
            remote: signed_prekey,
            receiving: None,
            sending: None,
            previous_counter: 0,
            skipped: MessageKeyCache::default(),
            retired: RetiredKeys::default(),
        }
    }

    /// The responder's half, after the first message it opened.
    pub(crate) fn responder(commit: Commit<ReceivedStep>) -> Self {
        let ReceivedStep { root, remote, chain, skipped, .. } = commit.into_change();
        Self { receiving: Some(chain), skipped, ..Self::initiator(root, remote) }
    }

    /// How many messages of ours the peer has not answered with a ratchet key of its own.
    pub(crate) fn unanswered(&self) -> u32 {
        self.sending.as_ref().map_or(0, |sending| sending.chain.next)
    }

    /// Whether the peer has sent anything.
    pub(crate) fn has_received(&self) -> bool {
        self.receiving.is_some()
    }

    /// The keys of messages that were overtaken.
    pub(crate) fn skipped(&self) -> &MessageKeyCache {
        &self.skipped
    }

    /// Erases the skipped keys that are older than `time`, and says how many.
    pub(crate) fn expire_skipped_before(&mut self, time: Timestamp) -> usize {
        let expired = self.skipped.expire_before(time);
        self.settle_lost();
        expired
    }

    /// The key for the next message we seal.
    ///
    /// # Errors
    /// [`SealError::SessionExhausted`], [`SealError::Primitives`].
    pub(crate) fn next_to_seal(
        &self,
        primitives: &dyn Primitives,
    ) -> Result<(SendingPosition, Pending<Sent>), SealError> {
        if self.unanswered() >= limits::UNANSWERED_MESSAGES {
            return Err(SealError::SessionExhausted);
        }
        let position = |own: &CurvePrivateKey, counter| SendingPosition {
            ratchet_key: own.public_key(),
            counter,
            previous_counter: self.previous_counter,
        };
        if let Some(SendingChain { own, chain }) = &self.sending {
            let Link { number, key, rest } = chain.link()?;
            return Ok((position(own, number), Pending { key, change: Sent::Next(rest) }));
        }
        let own = CurvePrivateKey::generate(primitives)?;
        let (root, chain) = self.root.step(&own.agree(&self.remote)?)?;
        let Link { number, key, rest } = chain.link()?;
        let position = position(&own, number);
        Ok((position, Pending { key, change: Sent::Step(root, SendingChain { own, chain: rest }) }))
    }

    /// The key that the message with this header should open with.
    ///
    /// # Errors
    /// [`OpenError::Replay`], [`OpenError::Lost`], [`OpenError::TooFarAhead`], [`OpenError::DecryptionFailed`],
    /// [`OpenError::Primitives`].
    pub(crate) fn next_to_open(&self, header: &EnvelopeHeader, now: Timestamp) -> Result<Pending<Received>, OpenError> {
        let position = MessagePosition { ratchet_key: header.ratchet_key, number: header.counter };
        let current = self.receiving.as_ref().filter(|_| header.ratchet_key == self.remote);
        if let Some(chain) = current.filter(|chain| header.counter >= chain.next) {
            within_jump(header.counter - chain.next)?;
            let mut skipped = MessageKeyCache::default();
            let Link { key, rest, .. } = link_at(chain, position, now, &mut skipped)?;
            return Ok(Pending { key, change: Received::Next { chain: rest, skipped } });
        }
        if let Some(key) = self.skipped.find(&position) {
            return Ok(Pending { key: MessageKey::copy_of(key.expose()), change: Received::Skipped(position) });
        }
        match current.map(|chain| chain.next).or_else(|| self.retired.end_of(&header.ratchet_key)) {
            None => self.step_of_peer(header, now),
            Some(end) if header.counter >= end => Err(OpenError::DecryptionFailed),
            Some(_) if self.skipped.has_lost(&position) => Err(OpenError::Lost),
            Some(_) => Err(OpenError::Replay),
        }
    }

    /// How many messages that have not been opened, nor waited for, stand directly before the one with this header.
    pub(crate) fn overtaken_by(&self, header: &EnvelopeHeader) -> u32 {
        let position = MessagePosition { ratchet_key: header.ratchet_key, number: header.counter };
        match &self.receiving {
            Some(chain) if header.ratchet_key == self.remote => header.counter.saturating_sub(chain.next),
            _ if self.skipped.find(&position).is_some() => 0,
            chain => self.left_of(chain.as_ref(), header).saturating_add(header.counter),
        }
    }

    /// How many of the peer's last chain, which ends before this header's, are still to come.
    fn left_of(&self, chain: Option<&KdfChain>, header: &EnvelopeHeader) -> u32 {
        chain.map_or(0, |chain| header.previous_counter.saturating_sub(chain.next))
    }

    fn step_of_peer(&self, header: &EnvelopeHeader, now: Timestamp) -> Result<Pending<Received>, OpenError> {
        let sending = self.sending.as_ref().ok_or(OpenError::DecryptionFailed)?;
        let left = self.left_of(self.receiving.as_ref(), header);
        within_jump(left.saturating_add(header.counter))?;
        let mut skipped = MessageKeyCache::default();
        if let Some(chain) = &self.receiving {
            let end = MessagePosition { ratchet_key: self.remote, number: header.previous_counter };
            skip_until(chain, end, now, &mut skipped)?;
        }
        let old_end = self.receiving.as_ref().map_or(0, |chain| chain.next.max(header.previous_counter));
        let Pending { key, change } = step(&self.root, &sending.own, header, now, skipped)?;
        Ok(Pending { key, change: Received::Step(ReceivedStep { old_end, ..change }) })
    }

    /// The responder's first key: the peer's step against its signed prekey.
    ///
    /// # Errors
    /// [`OpenError::TooFarAhead`], [`OpenError::Primitives`].
    pub(crate) fn first_to_open(
        root: &RootKey,
        signed_prekey: &CurvePrivateKey,
        header: &EnvelopeHeader,
        now: Timestamp,
    ) -> Result<Pending<ReceivedStep>, OpenError> {
        within_jump(header.counter)?;
        step(root, signed_prekey, header, now, MessageKeyCache::default())
    }

    /// Makes what sealing a message changes.
    pub(crate) fn commit_sent(&mut self, commit: Commit<Sent>) {
        match commit.into_change() {
            Sent::Step(root, sending) => {
                self.root = root;
                self.sending = Some(sending);
            }
            Sent::Next(chain) => {
                if let Some(sending) = &mut self.sending {
                    sending.chain = chain;
                }
            }
        }
    }

    /// Makes what opening a message changes.
    pub(crate) fn commit_received(&mut self, commit: Commit<Received>) {
        match commit.into_change() {
            Received::Skipped(position) => self.skipped.remove(&position),
            Received::Next { chain, skipped } => {
                self.receiving = Some(chain);
                self.skipped.append(skipped);
            }
            Received::Step(ReceivedStep { root, remote, old_end, chain, skipped }) => {
                self.previous_counter = self.unanswered();
                self.sending = None;
                self.root = root;
                if self.receiving.replace(chain).is_some() {
                    self.retired.push(RetiredKey { ratchet_key: self.remote, end: old_end });
                }
                self.remote = remote;
                self.skipped.append(skipped);
            }
        }
        self.settle_lost();
    }

    /// What is lost is of interest while its chain is known.
    fn settle_lost(&mut self) {
        self.skipped.settle_lost(|key| *key == self.remote || self.retired.end_of(key).is_some());
    }
}

/// The peer's step to the ratchet key in `header`, and the key of its message; `skipped` takes what that overtakes.
fn step(
    root: &RootKey,
    own: &CurvePrivateKey,
    header: &EnvelopeHeader,
    now: Timestamp,
    mut skipped: MessageKeyCache,
) -> Result<Pending<ReceivedStep>, OpenError> {
    let remote = header.ratchet_key;
    let (root, chain) = root.step(&own.agree(&remote)?)?;
    let position = MessagePosition { ratchet_key: remote, number: header.counter };
    let Link { key, rest, .. } = link_at(&chain, position, now, &mut skipped)?;
    Ok(Pending { key, change: ReceivedStep { root, remote, old_end: 0, chain: rest, skipped } })
}

/// Takes the key at `position`, which `chain` has not passed; `skipped` takes those before it.
fn link_at(
    chain: &KdfChain,
    position: MessagePosition,
    now: Timestamp,
    skipped: &mut MessageKeyCache,
) -> Result<Link, ChainError> {
    let advanced = skip_until(chain, position, now, skipped)?;
    advanced.as_ref().unwrap_or(chain).link()
}

/// Moves the keys before `end` to `skipped`, and gives the chain that stands there; none if `chain` itself does.
fn skip_until(
    chain: &KdfChain,
    end: MessagePosition,
    now: Timestamp,
    skipped: &mut MessageKeyCache,
) -> Result<Option<KdfChain>, ChainError> {
    let mut advanced = None;
    loop {
        let standing: &KdfChain = advanced.as_ref().unwrap_or(chain);
        if standing.next >= end.number {
            return Ok(advanced);
        }
        let Link { number, key, rest } = standing.link()?;
        skipped.insert(SkippedKey { position: MessagePosition { number, ..end }, key, skipped_at: now });
        advanced = Some(rest);
    }
}

fn within_jump(keys: u32) -> Result<(), OpenError> {
    if keys > limits::JUMP { Err(OpenError::TooFarAhead) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
