//! Control messages in memory: at most one of each sender for each recipient.

use std::collections::BTreeMap;

use sealpost_protocol::{AgentId, Attempt, HeaderHash, MessageId, PartHash, Timestamp};

use crate::ports::{AcceptError, AcceptanceOutcome, ContentHandle, ControlAcceptance, PageQuery, WaitingEntry};

/// Control messages by recipient and sender, and the last id of each sender.
#[derive(Debug, Clone, Default)]
pub(super) struct ControlTable {
    waiting: BTreeMap<(AgentId, AgentId), ControlMessage>,
    last: BTreeMap<AgentId, MessageId>,
}

#[derive(Debug, Clone)]
struct ControlMessage {
    id: MessageId,
    place: u64,
    queued_at: Timestamp,
    expires: Timestamp,
    length: u64,
    header: Vec<u8>,
    header_hash: HeaderHash,
    part: PartHash,
    content: ContentHandle,
}

impl ControlTable {
    pub(super) fn accept(&mut self, message: ControlAcceptance, place: u64) -> Result<AcceptanceOutcome, AcceptError> {
        let (name, recipient, at) = (message.header.message(), message.part.recipient, message.at);
        let unused = self.remove(|(to, _), waiting| *to == recipient && waiting.expires <= at);
        let mut outcome = AcceptanceOutcome { at, queued: Vec::new(), unused };
        let known = self.waiting.get(&(recipient, name.sender));
        if !message.supersedes(known.map(|known| known.id)) {
            let same = known.filter(|known| known.id == name.id);
            outcome.at = same.map_or(at, |same| same.queued_at);
            outcome.unused.push(message.part.content);
            return Ok(outcome);
        }
        let others = self.waiting.keys().filter(|(to, sender)| *to == recipient && *sender != name.sender);
        ControlAcceptance::unless_full(recipient, others.count() as u64)?;
        let ControlAcceptance { header, part, .. } = message;
        let entered = ControlMessage {
            id: name.id,
            place,
            queued_at: at,
            expires: header.fields().expires,
            length: part.length,
            header: header.as_bytes().to_vec(),
            header_hash: header.hash(),
            part: part.hash,
            content: part.content,
        };
        outcome.unused.extend(self.waiting.insert((recipient, name.sender), entered).map(|old| old.content));
        outcome.queued.push(recipient);
        let last = self.last.entry(name.sender).or_insert(name.id);
        *last = name.id.max(*last);
        Ok(outcome)
    }

    /// What a page is made of, each with its length.
    pub(super) fn waiting(&self, query: &PageQuery) -> Vec<(u64, WaitingEntry)> {
        let (recipient, after, now) = (query.recipient, query.after, query.now);
        let mine = self.waiting.iter().filter(|((to, _), _)| *to == recipient).map(|(_, message)| message);
        let entry = |message: &ControlMessage| {
            let entry = WaitingEntry {
                mailbox_seq: message.place,
                attempt: Attempt::FIRST,
                handed_over: true,
                queued_at: message.queued_at,
                header: message.header.clone(),
                header_hash: message.header_hash,
                part: message.part,
                content: message.content.clone(),
            };
            (message.length, entry)
        };
        mine.filter(|message| message.place > after && message.expires > now).map(entry).collect()
    }

    pub(super) fn take(&mut self, recipient: AgentId, until: u64) -> Vec<ContentHandle> {
        self.remove(|(to, _), message| *to == recipient && message.place <= until)
    }

    pub(super) fn lose(&mut self, recipient: AgentId, place: u64) -> Vec<ContentHandle> {
        self.remove(|(to, _), message| *to == recipient && message.place == place)
    }

    pub(super) fn expire(&mut self, now: Timestamp, rows: usize) -> Vec<ContentHandle> {
        let mut left = rows;
        self.remove(|_, message| {
            let goes = message.expires <= now && left > 0;
            left -= usize::from(goes);
            goes
        })
    }

    pub(super) fn last_of(&self, sender: AgentId) -> Option<MessageId> {
        self.last.get(&sender).copied()
    }

    fn remove(&mut self, mut goes: impl FnMut(&(AgentId, AgentId), &ControlMessage) -> bool) -> Vec<ContentHandle> {
        let mut removed = Vec::new();
        self.waiting.retain(|name, message| {
            let goes = goes(name, message);
            if goes {
                removed.push(message.content.clone());
            }
            !goes
        });
        removed
    }
}
