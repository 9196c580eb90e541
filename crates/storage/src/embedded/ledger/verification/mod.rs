//! Whether the ledger is whole, agrees with itself, and has every content that it names.
//!
//! SQLite looks at its own structure; statements find rows that contradict each other; what is encoded is decoded; contents
//! are rebuilt and compared with what was accepted. Each contradiction is a finding of one kind. Mending does what loses
//! nothing: it counts sums anew, lets go of what nobody needs, and tells senders that what is gone is lost. What it would
//! have to guess it leaves.

mod contents;
mod mending;
mod prekeys;
mod rows;
mod statements;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use rusqlite::{Connection, Transaction};
use sealpost_core::ports::{BackendError, ContentHandle};
use sealpost_protocol::{AgentId, MessageId};
use serde::{Deserialize, Serialize};

pub(in crate::embedded) use self::mending::mend;
use self::statements::CHECKS;
use super::{
    StoreError, bodies, change_numbers, control_messages, deliveries, mailboxes, receipts, released, retention,
};
use crate::{embedded::EmbeddedContents, limits};

/// What contradicts what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// SQLite finds its file damaged. An index that disagrees with its table is built anew.
    Database,
    /// A number is in use that is still to be given out. It is not given out again.
    ChangeNumbers,
    /// A content lies behind the mark that came with it: the next start would take it for nobody's. The mark is raised.
    ContentsMark,
    /// A row is not what this program wrote. It stays.
    DamagedRow,
    /// A message whose deliveries are not those to the recipients that its header names, or a delivery that is no message's. It
    /// stays: who is missing was never told, and what it was is not known.
    MessageIncomplete,
    /// A content is noted as let go of, and somebody may still read it. It is kept.
    ReleasedButNeeded,
    /// A delivery has ended and stands in a mailbox, or has not and stands in none. It is put where its state says.
    StateAndMailbox,
    /// A content that somebody waits for is gone, damaged, or not what was accepted. Its sender is told that it is lost.
    LostContent,
    /// A content is held and nobody may read it any more. It is let go of.
    HeldForNobody,
    /// A message that is gone is noted as kept. The note goes.
    RetainedWithoutMessage,
    /// What a mailbox is said to hold is not what is in it. It is counted anew.
    MailboxSums,
    /// What a sender is said to have in bodies is not what it has. It is counted anew.
    BodySums,
    /// A one-time prekey is not what its owner signed, or not under the id, to the end or with the hash that the ledger says. One
    /// that nobody could use counts as used; of one that is whole the hash is set right.
    UnusablePrekey,
    /// What a claim was given is not what its target signed. The claim is forgotten: repeated, it is made anew.
    DamagedClaim,
}

/// What was found of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Of which kind.
    pub kind: FindingKind,
    /// How many.
    pub count: u64,
    /// The first of them, up to a hundred.
    pub subjects: Vec<Subject>,
}

/// One thing that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The agent whose it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<String>,
    /// The message's id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// What is wrong.
    pub detail: String,
}

/// The row that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// The whole file.
    File,
    /// A row's number.
    Row(u64),
    /// An agent's id, or a handle.
    Bytes(Vec<u8>),
    /// A content that a row names.
    Content(Named),
}

/// A handle, and the row that it stands in: of `parts` and `control_messages` the number, of `pieces` both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    row: u64,
    place: u64,
    handle: Vec<u8>,
}

/// Which check found something, and so what mends it: the statements in their order, and those that need more than SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Check {
    Database,
    Rows,
    Incomplete,
    Statement(usize),
    Part,
    Body,
    Piece,
    Control,
    Mark,
    Prekey,
    Claim,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Notes(BTreeMap<(FindingKind, Check), Noted>);

#[derive(Debug, Default)]
struct Noted {
    count: u64,
    subjects: Vec<Subject>,
    keys: Vec<Key>,
}

/// How many contents were rebuilt, and how many were not.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::embedded) struct Rebuilt {
    pub(in crate::embedded) whole: u64,
    pub(in crate::embedded) lost: u64,
}

/// Goes through the ledger, and rebuilds every content that it names. Nothing is changed.
pub(in crate::embedded) async fn look_through(contents: &EmbeddedContents) -> Result<(Notes, Rebuilt), BackendError> {
    let mut notes = contents.ledger().read(look_through_rows).await?;
    let rebuilt = contents::rebuild_all(contents, &mut notes).await?;
    Ok((notes, rebuilt))
}

/// Everything but the contents, as of one committed state.
fn look_through_rows(connection: &Connection) -> Result<Notes, StoreError> {
    let mut notes = Notes::default();
    let checks = [rows::integrity, rows::messages, rows::manifests, rows::control_messages, rows::heads, rows::bodies];
    for check in checks.into_iter().chain([prekeys::keys, prekeys::claims]) {
        let checked = check(&mut notes, connection);
        notes.tolerate(checked)?;
    }
    for (number, statement) in CHECKS.iter().enumerate() {
        let checked = statements::run(&mut notes, connection, number, statement);
        notes.tolerate(checked)?;
    }
    Ok(notes)
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

impl FindingKind {
    /// Its name, in text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::ChangeNumbers => "change-numbers",
            Self::ContentsMark => "contents-mark",
            Self::DamagedRow => "damaged-row",
            Self::MessageIncomplete => "message-incomplete",
            Self::ReleasedButNeeded => "released-but-needed",
            Self::StateAndMailbox => "state-and-mailbox",
            Self::LostContent => "lost-content",
            Self::HeldForNobody => "held-for-nobody",
            Self::RetainedWithoutMessage => "retained-without-message",
            Self::MailboxSums => "mailbox-sums",
            Self::BodySums => "body-sums",
            Self::UnusablePrekey => "unusable-prekey",
            Self::DamagedClaim => "damaged-claim",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Notes {
    /// A check that stumbles over a damaged page has found something; the others go on.
    fn tolerate(&mut self, checked: Result<(), StoreError>) -> Result<(), StoreError> {
        match checked {
            Err(StoreError::Statement(error)) if is_corrupt(&error) => {
                self.add(FindingKind::Database, Check::Database, Key::File, Subject::that(error.to_string()));
                Ok(())
            }
            other => other,
        }
    }

    fn add(&mut self, kind: FindingKind, check: Check, key: Key, subject: Subject) {
        let noted = self.0.entry((kind, check)).or_default();
        noted.count += 1;
        if noted.subjects.len() < limits::LISTED_FINDINGS {
            noted.subjects.push(subject);
        }
        if noted.keys.len() < limits::MENDED_FINDINGS {
            noted.keys.push(key);
        }
    }

    /// What was found, by kind.
    pub(in crate::embedded) fn findings(&self) -> Vec<Findings> {
        let mut findings = Vec::new();
        for ((kind, _), noted) in &self.0 {
            Findings { kind: *kind, count: noted.count, subjects: noted.subjects.clone() }.join(&mut findings);
        }
        findings
    }
}

/// Adds what was found, or mended, to what was before.
pub(in crate::embedded) fn add(all: &mut Vec<Findings>, more: Vec<Findings>) {
    all.extend(more);
    all.sort_by_key(|found| found.kind);
    for found in std::mem::take(all) {
        found.join(all);
    }
}

/// Some of what was let go of, and is not gone yet.
pub(in crate::embedded) fn released(connection: &Connection) -> Result<Vec<ContentHandle>, StoreError> {
    released::some(connection, limits::RELEASED_AT_ONCE)
}

/// Forgets that these were let go of: they are gone.
pub(in crate::embedded) fn forget(transaction: &Transaction<'_>, gone: &[ContentHandle]) -> Result<(), StoreError> {
    released::forget(transaction, gone)
}

impl Findings {
    /// Adds them to what was found before them: those of one kind stand side by side, and become one.
    fn join(self, found: &mut Vec<Self>) {
        match found.last_mut().filter(|last| last.kind == self.kind) {
            Some(last) => {
                last.count += self.count;
                last.subjects.extend(self.subjects);
                last.subjects.truncate(limits::LISTED_FINDINGS);
            }
            None => found.push(self),
        }
    }
}

impl Subject {
    fn that(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::default() }
    }

    fn of_agent(self, agent: AgentId) -> Self {
        Self { agent: Some(agent.to_string()), ..self }
    }

    fn of_message(self, message: MessageId) -> Self {
        Self { message: Some(message.to_string()), ..self }
    }
}
