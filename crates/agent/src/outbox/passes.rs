//! Passes over what waits here, in its order; and for a message that somebody waits for, as many as it takes.

use std::sync::atomic::Ordering;

use sealpost_protocol::{AgentId, ErrorCode, MessageId, Timestamp, encoding::Decode};

use super::{
    Step,
    obstacles::{HeldUp, Obstacle},
    refusals::{Fate, fate},
};
use crate::{
    Agent, RelayError, SendError,
    bodies::{Stop, Uploaded},
    records::{DraftRecord, OutgoingRecord, RenewalRecord, SentRecord, UnsentRecord},
    store::Record,
};

impl Agent {
    /// Sends what waits here, oldest first: what is sealed already, then drafts. Returns when `wanted` was accepted, if
    /// it was; bodies that it needs, or that stand before it, are uploaded for that. Without `wanted`, what was refused
    /// lately is left to a later round, bodies are not uploaded, and what is damaged here is told at the end.
    pub(crate) async fn flush(&self, wanted: Option<MessageId>) -> Result<Option<Timestamp>, SendError> {
        loop {
            let mut pass = self.pass(wanted).await?;
            let Some(id) = wanted else {
                return pass.damaged.map_or(Ok(None), Err);
            };
            let (due, otherwise) = match pass.wanted.take() {
                Some(Ok(Step::Upload(_))) => (pass.upload_before(id), SendError::UploadedElsewhere),
                Some(Err(error @ SendError::Behind(_))) => (pass.upload_before(id), error),
                Some(Ok(Step::Accepted(at))) => return Ok(Some(at)),
                Some(Ok(Step::Gone)) | None => return Ok(None),
                Some(Err(error)) => return Err(error),
            };
            let due = due.ok_or(otherwise)?;
            let uploads = || SendError::Behind(Obstacle::new(due.id, Obstacle::UPLOADS));
            match self.upload_body(due.id, due.id == id, &Stop::default()).await {
                Ok(Uploaded::ByAnother) if due.id == id => return Err(SendError::UploadedElsewhere),
                Ok(Uploaded::ByAnother) => return Err(uploads()),
                Ok(Uploaded::Whole | Uploaded::InPart) => {}
                Err(error) => {
                    let obstacle = self.note_failure(due.id, &error, &due.recipients).await?;
                    return Err(if due.id == id { error } else { SendError::Behind(obstacle) });
                }
            }
        }
    }

    /// Sends what can go out now. A message that cannot holds up later ones to the same recipients, so that the order
    /// stays, and no others; only a relay that cannot be used ends the pass.
    pub(crate) async fn pass(&self, wanted: Option<MessageId>) -> Result<Pass, SendError> {
        let _turn = self.turns.take().await?;
        let mut pass = Pass::default();
        let mut held_up = HeldUp::default();
        for stage in [Stage::Outbox, Stage::Renewal, Stage::Draft] {
            let mut after = Vec::new();
            while let Some((key, waiting)) = self.next_waiting(stage, &after).await? {
                after = key;
                let (id, recipients) = match waiting {
                    Ok(waiting) => waiting,
                    Err(error) => {
                        pass.damaged.get_or_insert(error);
                        continue;
                    }
                };
                if wanted == Some(id) {
                    pass.wanted_by.clone_from(&recipients);
                }
                if let Some(obstacle) = held_up.before(&recipients).cloned() {
                    held_up.add(&recipients, &obstacle);
                    if wanted == Some(id) {
                        pass.wanted = Some(Err(SendError::Behind(obstacle)));
                    }
                    continue;
                }
                if wanted.is_none() && self.holds.hold(&recipients) {
                    let noted = self.obstacle(id).await?;
                    held_up.add(&recipients, &noted.unwrap_or_else(|| Obstacle::new(id, Obstacle::PAUSES)));
                    continue;
                }
                let result = self.send_one(id, wanted == Some(id)).await;
                match &result {
                    Ok(Step::Upload(length)) => {
                        held_up.add(&recipients, &Obstacle::new(id, Obstacle::UPLOADS));
                        pass.uploads.push(DueUpload { id, recipients, length: *length });
                    }
                    Ok(Step::Accepted(_) | Step::Gone) => self.holds.remove(&recipients),
                    Err(error) => match fate(error) {
                        Fate::AllWait => {
                            self.is_current.store(false, Ordering::Relaxed);
                            return result.map(|_| pass);
                        }
                        Fate::Unsent => {}
                        Fate::Waits => {
                            let obstacle = self.note_failure(id, error, &recipients).await?;
                            held_up.add(&recipients, &obstacle);
                        }
                    },
                }
                match result {
                    result if wanted == Some(id) => pass.wanted = Some(result),
                    Err(error @ (SendError::State(_) | SendError::Damaged(_))) => {
                        pass.damaged.get_or_insert(error);
                    }
                    _ => {}
                }
            }
        }
        if let (Some(id), None | Some(Ok(Step::Gone))) = (wanted, &pass.wanted) {
            pass.wanted = Some(self.sent_by_another(id).await);
        }
        Ok(pass)
    }

    /// Lets mail to a message's recipients pause after a failure that is its own, and notes why it waits.
    pub(crate) async fn note_failure(
        &self,
        id: MessageId,
        error: &SendError,
        recipients: &[AgentId],
    ) -> Result<Obstacle, SendError> {
        if fate(error) != Fate::Waits {
            return Ok(Obstacle::new(id, error.code()));
        }
        let random = self.random().map_err(|error| SendError::Seal(error.into()))?;
        self.holds.add(recipients, random);
        Ok(self.note_obstacle(id, error).await?)
    }

    /// What became of a message that another process of the agent has taken up, and may not be through with.
    async fn sent_by_another(&self, id: MessageId) -> Result<Step, SendError> {
        match self.send_one(id, true).await? {
            Step::Gone => {}
            step => return Ok(step),
        }
        if let Some(unsent) = self.store.find::<UnsentRecord>(id.as_bytes()).await? {
            let code = unsent.value.code.parse().unwrap_or(ErrorCode::Internal);
            let detail = "as another process of the agent was told".to_owned();
            return Err(RelayError::Refused { code, detail }.into());
        }
        let sent = self.store.find::<SentRecord>(id.as_bytes()).await?;
        Ok(sent.map_or(Step::Gone, |sent| Step::Accepted(sent.value.accepted)))
    }

    /// The first message of a stage after `after`: where it is, its name, and for whom it is.
    async fn next_waiting(&self, stage: Stage, after: &[u8]) -> Result<Option<(Vec<u8>, Queued)>, SendError> {
        match stage {
            Stage::Outbox => {
                self.next_in(after, |row: OutgoingRecord| of_parts(&row.parts, |part| part.recipient)).await
            }
            Stage::Renewal => {
                let mut after = after.to_vec();
                loop {
                    let mut is_due = true;
                    let recipients = |row: RenewalRecord| {
                        is_due = self.has_rested(&row);
                        of_parts(&row.parts, |part| part.recipient)
                    };
                    match self.next_in(&after, recipients).await? {
                        Some((key, _)) if !is_due => after = key,
                        found => return Ok(found),
                    }
                }
            }
            Stage::Draft => self.next_in(after, |row: DraftRecord| row.recipients).await,
        }
    }

    async fn next_in<T: Record>(
        &self,
        after: &[u8],
        recipients: impl FnOnce(T) -> Vec<AgentId>,
    ) -> Result<Option<(Vec<u8>, Queued)>, SendError> {
        let mut page = self.store.page::<T>(&[], after, 1).await?;
        let Some(key) = page.last else { return Ok(None) };
        let waiting = match (page.rows.pop(), page.damaged) {
            (Some(row), _) => {
                MessageId::from_bytes(&key).map(|id| (id, recipients(row.value))).map_err(SendError::from)
            }
            (None, Some(error)) => Err(error.into()),
            (None, None) => return Ok(None),
        };
        Ok(Some((key, waiting)))
    }
}

/// What a pass over all that waits came to.
#[derive(Default)]
pub(crate) struct Pass {
    /// What became of the message that was asked for.
    wanted: Option<Result<Step, SendError>>,
    /// For whom that is.
    wanted_by: Vec<AgentId>,
    /// The bodies that are to be uploaded, in the order of their messages.
    pub(crate) uploads: Vec<DueUpload>,
    /// What failed here, at one row or another.
    pub(crate) damaged: Option<SendError>,
}

/// A message whose body is to be uploaded.
pub(crate) struct DueUpload {
    pub(crate) id: MessageId,
    pub(crate) recipients: Vec<AgentId>,
    /// Bytes of the body.
    pub(crate) length: u64,
}

impl Pass {
    /// The first body that must be uploaded before the message can go that was asked for: its own, or one before it.
    fn upload_before(self, id: MessageId) -> Option<DueUpload> {
        let Self { uploads, wanted_by, .. } = self;
        uploads.into_iter().find(|due| due.id == id || due.recipients.iter().any(|to| wanted_by.contains(to)))
    }
}

/// A message that waits, and for whom it is; or why its row cannot be read.
type Queued = Result<(MessageId, Vec<AgentId>), SendError>;

fn of_parts<P>(parts: &[P], recipient: impl Fn(&P) -> AgentId) -> Vec<AgentId> {
    parts.iter().map(recipient).collect()
}

/// Where a message waits.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Outbox,
    Renewal,
    Draft,
}
