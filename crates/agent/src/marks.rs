//! Read and typing marks: what an agent shows a peer of its reading and writing, in control messages.
//!
//! A mark says all that there is to be said, so a newer one takes the place of an older one wherever it waits; a step that a
//! peer has asked for carries how far was read as well. None is promised to arrive, none is answered, and none opens a
//! session. What a peer says becomes an event here, of each kind the newest alone.

use sealpost_crypto::{Control, Mark, Session};
use sealpost_protocol::{AgentId, MessageId, MessageRef, Timestamp, encoding::Encode};

use crate::{
    Agent, Event, SendError, StateError, SyncError,
    conflicts::retry_conflicts,
    limits,
    outbox::{Fate, fate},
    records::{EventRecord, InboxRecord, MarkRecord, SentRecord},
    store::{Changes, StoreAccessError, Versioned},
};

/// What became of a mark.
#[derive(Debug)]
pub enum Marked {
    /// The relay has it, for the peer.
    Told,
    /// It says no more than the last one did.
    Known,
    /// The peer is not told. How far was read travels with the next mark or step, or with the next round where the mark was
    /// sealed already.
    NotTold(NotTold),
}

/// Why a peer is not told of a mark.
#[derive(Debug)]
pub enum NotTold {
    /// There is no session with the peer, or it has not answered in it, or not for long.
    NoSession,
    /// Mail for the peer has not left, and must not be overtaken.
    MailWaits,
    /// The relay was not reached, or has not taken it.
    Relay(SendError),
}

impl Agent {
    /// Shows a peer how far its messages were read, and whether something is being written for it. What was read before is
    /// read after, so an earlier message than the last one changes nothing; a repetition of `typing` within five seconds
    /// neither.
    ///
    /// # Errors
    /// [`SendError::ToItself`], and [`SendError::NotReceived`] if no such message has come from the peer: nothing was stored.
    /// [`SendError::State`], [`SendError::Damaged`].
    pub async fn mark(&self, peer: AgentId, mark: Mark) -> Result<Marked, SendError> {
        if peer == self.id() {
            return Err(SendError::ToItself);
        }
        let _turn = self.turns.take().await?;
        if !retry_conflicts(|| self.note_own_mark(peer, mark)).await? {
            return Ok(Marked::Known);
        }
        let told = match retry_conflicts(|| self.seal_mark(peer, mark.typing)).await {
            Ok(None) => self.send_control().await,
            Ok(Some(why)) => return Ok(Marked::NotTold(why)),
            Err(error) => Err(error),
        };
        match told {
            Ok(not_taken) => match not_taken.into_iter().find(|(recipient, _)| recipient == peer.as_bytes()) {
                None => Ok(Marked::Told),
                Some((_, error)) => {
                    retry_conflicts(|| self.forget_told(peer)).await?;
                    Ok(Marked::NotTold(NotTold::Relay(error)))
                }
            },
            Err(error) if fate(&error) == Fate::AllWait => Ok(Marked::NotTold(NotTold::Relay(error))),
            Err(error) => Err(error),
        }
    }

    /// Up to which of this agent's messages a peer has said that it has read all of them; told by [`Event::Read`] too.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn read_by(&self, peer: AgentId) -> Result<Option<MessageId>, StateError> {
        Ok(self.store.find::<MarkRecord>(peer.as_bytes()).await?.and_then(|marks| marks.value.read_by_peer))
    }

    /// What is sealed for a peer that has asked for a step: how far was read, if anything was.
    pub(crate) async fn step_for(&self, peer: AgentId, changes: &mut Changes) -> Result<Control, StoreAccessError> {
        let known = self.store.find::<MarkRecord>(peer.as_bytes()).await?;
        let Some(known) = known.filter(|known| known.value.read.is_some()) else { return Ok(Control::Step) };
        let read = known.value.read;
        changes.replace(&known, &MarkRecord { told: read, typing: None, ..known.value.clone() });
        Ok(Control::Mark(Mark { read, typing: false }))
    }

    /// Keeps what is to be shown. Returns whether there is anything new in it.
    async fn note_own_mark(&self, peer: AgentId, mark: Mark) -> Result<bool, SendError> {
        if let Some(message) = mark.read {
            let received = self.store.find::<InboxRecord>(&MessageRef { sender: peer, id: message }.to_bytes()).await?;
            if !received.is_some_and(|received| received.value.is_stored()) {
                return Err(SendError::NotReceived { message, peer });
            }
        }
        let known = self.store.find::<MarkRecord>(peer.as_bytes()).await?;
        let marks = known.as_ref().map(|known| known.value.clone()).unwrap_or_default();
        let read = marks.read.max(mark.read);
        let told = marks.typing.filter(|told| !self.is_ahead_of_now(*told));
        let told = told.map(|told| self.clock.now().since(told));
        let is_new = match mark.typing {
            true => told.is_none_or(|ago| ago >= limits::TYPING_INTERVAL),
            false => told.is_some_and(|ago| ago < limits::TYPING_LIFE),
        };
        let is_new = is_new || read > marks.told;
        if read != marks.read {
            let mut changes = Changes::default();
            changes.upsert(peer.as_bytes(), known.as_ref(), &MarkRecord { read, ..marks });
            self.store.commit(changes).await?;
        }
        Ok(is_new)
    }

    /// Seals how far was read, and whether something is written, where the peer can open it; not where that would overtake
    /// what was sealed for it before. Returns why it did not.
    async fn seal_mark(&self, peer: AgentId, typing: bool) -> Result<Option<NotTold>, SendError> {
        self.ensure_current().await?;
        let row = self.session_rows(peer).await?.into_iter().find(|row| row.value.sends);
        let Some(row) = row else { return Ok(Some(NotTold::NoSession)) };
        let session = Session::decode(&row.value.session)?;
        if !session.may_mark() {
            return Ok(Some(NotTold::NoSession));
        }
        if self.has_mail_for(peer).await? {
            return Ok(Some(NotTold::MailWaits));
        }
        let known = self.store.find::<MarkRecord>(peer.as_bytes()).await?;
        let marks = known.as_ref().map(|known| known.value.clone()).unwrap_or_default();
        let mark = Mark { read: marks.read, typing };
        let typing = typing.then(|| self.clock.now());
        let mut changes = Changes::default();
        changes.upsert(peer.as_bytes(), known.as_ref(), &MarkRecord { told: mark.read, typing, ..marks });
        self.seal_control(&row, session, Control::Mark(mark), &mut changes).await?;
        self.store.commit(changes).await?;
        Ok(None)
    }

    /// The relay has let go of what the peer was to be told.
    async fn forget_told(&self, peer: AgentId) -> Result<(), SendError> {
        let Some(known) = self.store.find::<MarkRecord>(peer.as_bytes()).await? else { return Ok(()) };
        let mut changes = Changes::default();
        changes.replace(&known, &MarkRecord { told: None, typing: None, ..known.value.clone() });
        Ok(self.store.commit(changes).await?)
    }

    /// Notes among `changes` what a peer shows. It sealed the mark at `said`, by its own clock.
    pub(crate) async fn take_in_mark(
        &self,
        peer: AgentId,
        said: Timestamp,
        mark: Mark,
        changes: &mut Changes,
    ) -> Result<(), SyncError> {
        let known = self.store.find::<MarkRecord>(peer.as_bytes()).await?;
        let before = known.as_ref().map(|known| known.value.clone()).unwrap_or_default();
        let mut marks = before.clone();
        if let Some(up_to) = mark.read
            && Some(up_to) > marks.read_by_peer
            && self.has_sent(up_to, peer).await?
        {
            marks.read_by_peer = Some(up_to);
            self.forget_event(&marks.read_event, changes).await?;
            marks.read_event = self.note_at(changes, Event::Read { reader: peer, up_to })?;
        }
        self.forget_event(&marks.typing_event, changes).await?;
        marks.typing_event.clear();
        if mark.typing && self.clock.now().since(said) < limits::TYPING_LIFE {
            marks.typing_event = self.note_at(changes, Event::Typing { peer })?;
        }
        if marks != before {
            changes.upsert(peer.as_bytes(), known.as_ref(), &marks);
        }
        Ok(())
    }

    /// Takes back an event that a newer one makes void, if nobody has taken it.
    async fn forget_event(&self, key: &[u8], changes: &mut Changes) -> Result<(), StoreAccessError> {
        if key.is_empty() {
            return Ok(());
        }
        if let Some(row) = self.store.find::<EventRecord>(key).await? {
            changes.delete(&row);
        }
        Ok(())
    }

    /// Whether a relay has accepted the message, and one of its recipients is `peer`.
    async fn has_sent(&self, message: MessageId, peer: AgentId) -> Result<bool, StoreAccessError> {
        let sent: Option<Versioned<SentRecord>> = self.store.find(message.as_bytes()).await?;
        Ok(sent.is_some_and(|sent| sent.value.parts.iter().any(|part| part.recipient == peer)))
    }
}
