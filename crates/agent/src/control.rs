//! Control messages: what runtimes say to each other, under their agents' messages and without their doing.
//!
//! A peer that has sent for long without a step of the ratchet asks for one inside a message. Whatever is sealed next in that
//! session answers; when everything that waited has been taken in and nothing was sealed, a control message does. The moved
//! ratchet and the envelope are committed together before it leaves. One that is lost is made good by a later request, and
//! none is ever answered. Marks go the same way ([`marks`](crate::marks)).

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use sealpost_api::v1;
use sealpost_crypto::{Control, Session, SessionId};
use sealpost_protocol::{
    AgentId, Header, HeaderFields, MessageClass, MessageRef, Priority, Recipients, Scheme, encoding::Encode,
};

use crate::{
    Agent, SendError,
    conflicts::retry_conflicts,
    limits,
    outbox::{Fate, fate},
    records::{ControlRecord, OutgoingRecord, SealedControlRecord, SessionRecord},
    store::{Changes, StoreAccessError, Versioned},
};

/// Peers that have asked for a step, and in which session. Kept per process: one that is forgotten is asked for again.
#[derive(Debug, Default)]
pub(crate) struct OwedSteps(Mutex<BTreeSet<(AgentId, SessionId)>>);

impl OwedSteps {
    /// Notes whether the peer of a session that has just opened something has asked.
    pub(crate) fn note(&self, session: &Session) {
        if session.owes_step() {
            self.lock().insert((session.peer(), session.id()));
        }
    }

    fn list(&self) -> Vec<(AgentId, SessionId)> {
        self.lock().iter().copied().collect()
    }

    fn remove(&self, answered: &(AgentId, SessionId)) {
        self.lock().remove(answered);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(AgentId, SessionId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// Answers the peers that have asked for a step and were sent nothing since, and sends what could not be sent before.
    pub(crate) async fn answer_steps(&self) -> Result<(), SendError> {
        let owed = self.owed_steps.list();
        if owed.is_empty() && self.next_control(&[]).await?.is_none() {
            return Ok(());
        }
        let _turn = self.turns.take().await?;
        for (peer, session) in owed {
            // What was sealed for the peer before must not be overtaken; it is answered when that has left.
            if self.has_mail_for(peer).await? {
                continue;
            }
            retry_conflicts(|| self.answer_step(peer, session)).await?;
            self.owed_steps.remove(&(peer, session));
        }
        self.send_control().await.map(drop)
    }

    /// Tells the relay that the control messages of a page are taken in. If it does not hear so, it hands them out again.
    pub(crate) async fn confirm_control(&self) {
        let control_taken = self.control_taken.swap(0, Ordering::Relaxed);
        if control_taken == 0 {
            return;
        }
        let nothing_else = v1::ReceiveRequest {
            after: i64::MAX.cast_unsigned(),
            limit: 1,
            control_taken,
            ..v1::ReceiveRequest::default()
        };
        let confirmed = match self.relay().await {
            Ok(relay) => relay.receive(nothing_else).await.map(drop),
            Err(_) => return,
        };
        if let Err(error) = confirmed {
            tracing::debug!(%error, "control messages will come again");
        }
    }

    async fn answer_step(&self, peer: AgentId, session: SessionId) -> Result<(), SendError> {
        self.ensure_current().await?;
        let key = [peer.as_bytes().as_slice(), &session.0].concat();
        let Some(row) = self.store.find::<SessionRecord>(&key).await? else { return Ok(()) };
        let session = Session::decode(&row.value.session)?;
        if !session.owes_step() {
            return Ok(());
        }
        let mut changes = Changes::default();
        let control = self.step_for(peer, &mut changes).await?;
        self.seal_control(&row, session, control, &mut changes).await?;
        Ok(self.store.commit(changes).await?)
    }

    /// Seals a control message in a session that is stored in `row`, and notes both among `changes`, in the place of one that
    /// has not left.
    pub(crate) async fn seal_control(
        &self,
        row: &Versioned<SessionRecord>,
        mut session: Session,
        control: Control,
        changes: &mut Changes,
    ) -> Result<(), SendError> {
        let (now, peer) = (self.clock.now(), session.peer());
        let header = self.control_header(peer)?;
        let envelope = session.seal(self.primitives.as_ref(), &header, &control.to_plaintext(), now)?;
        let superseded = self.store.find::<ControlRecord>(peer.as_bytes()).await?;
        let highest = self.store.find::<SealedControlRecord>(&[]).await?;
        let id = header.message().id;
        let last = highest.as_ref().map_or(id, |highest| highest.value.last.max(id));
        let control = ControlRecord { header: header.as_bytes().to_vec(), envelope: envelope.to_bytes() };
        changes
            .replace(row, &SessionRecord { session: session.encode(), sends: row.value.sends, used: now })
            .upsert(peer.as_bytes(), superseded.as_ref(), &control)
            .upsert(&[], highest.as_ref(), &SealedControlRecord { last });
        Ok(())
    }

    fn control_header(&self, peer: AgentId) -> Result<Header, SendError> {
        let id = self.next_message_id();
        let id = id.map_err(|error| SendError::Seal(error.into()))?;
        Ok(Header::new(HeaderFields {
            message: MessageRef { sender: self.id(), id },
            recipients: Recipients::new(vec![peer])?,
            scheme: Scheme::Ratchet,
            class: MessageClass::Control,
            priority: Priority::Normal,
            message_type: None,
            thread: None,
            reply_to: None,
            created: id.timestamp(),
            expires: id.timestamp().saturating_add(limits::CONTROL_LIFE),
            body: None,
        })?)
    }

    /// Hands over what was sealed. What the relay has no use or room for is let go of; returns for whom it was, and why.
    pub(crate) async fn send_control(&self) -> Result<Vec<(Vec<u8>, SendError)>, SendError> {
        let (mut after, mut not_taken) = (Vec::new(), Vec::new());
        while let Some(row) = self.next_control(&after).await? {
            after.clone_from(&row.key);
            let sent = self.relay().await?.send(request(&row)?).await.map_err(SendError::from);
            match sent {
                Err(error) if fate(&error) == Fate::AllWait => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "a control message is not taken");
                    not_taken.push((row.key.clone(), error));
                }
                Ok(_) => {}
            }
            let mut changes = Changes::default();
            changes.delete(&row);
            crate::agent::ignore_conflict(self.store.commit(changes).await)?;
        }
        Ok(not_taken)
    }

    async fn next_control(&self, after: &[u8]) -> Result<Option<Versioned<ControlRecord>>, StoreAccessError> {
        Ok(self.store.list(&[], after, 1).await?.pop())
    }

    /// Whether something that is sealed for `peer` has not left yet.
    pub(crate) async fn has_mail_for(&self, peer: AgentId) -> Result<bool, StoreAccessError> {
        let mut after = Vec::new();
        loop {
            let page = self.store.page::<OutgoingRecord>(&[], &after, 1).await?;
            let Some(last) = page.last else { return Ok(false) };
            if page.rows.iter().any(|row| row.value.parts.iter().any(|part| part.recipient == peer)) {
                return Ok(true);
            }
            after = last;
        }
    }
}

fn request(row: &Versioned<ControlRecord>) -> Result<v1::SendRequest, SendError> {
    let recipient: [u8; 32] =
        row.key.as_slice().try_into().map_err(|_| sealpost_protocol::encoding::DecodeError::Truncated)?;
    let part = v1::Part {
        recipient: AgentId::from_array(recipient).to_string(),
        attempt: 1,
        envelope: row.value.envelope.clone(),
    };
    Ok(v1::SendRequest { header: row.value.header.clone(), parts: vec![part], ..v1::SendRequest::default() })
}
