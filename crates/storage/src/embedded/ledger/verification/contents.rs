//! Rebuilding every content that the ledger names, a few rows at a time: no transaction stays open meanwhile, so the relay
//! goes on. What cannot be rebuilt is looked up once more: only what the ledger still names is lost.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_core::ports::BackendError;
use sealpost_protocol::PartHash;

use super::{Check, FindingKind, Key, Named, Notes, Rebuilt, StoreError, Subject, statements::subject};
use crate::embedded::{
    EmbeddedContents,
    columns::Number,
    contents::{lies_behind, mark},
    contents_mark,
    named_contents::ContentTable,
};
use crate::limits;

/// The rows of a table behind one: row, place, agent, message, what it is, handle, and what it hashed to when it was
/// accepted.
fn rows(table: ContentTable) -> &'static str {
    match table {
        ContentTable::Parts => {
            "SELECT p.delivery, 0, d.recipient, m.message_id, 'the part', p.content, d.part_hash
             FROM parts AS p JOIN deliveries AS d ON d.id = p.delivery LEFT JOIN messages AS m ON m.id = d.message
             WHERE (p.delivery, 0) > (?1, ?2) ORDER BY p.delivery LIMIT ?3"
        }
        ContentTable::Pieces => {
            "SELECT pieces, place, NULL, NULL, printf('piece %d of the body or upload %d', place, pieces), content, NULL
             FROM pieces WHERE (pieces, place) > (?1, ?2) ORDER BY pieces, place LIMIT ?3"
        }
        ContentTable::ControlMessages => {
            "SELECT place, 0, sender, message_id, 'the control message', content, part_hash
             FROM control_messages WHERE (place, 0) > (?1, ?2) ORDER BY place LIMIT ?3"
        }
    }
}

/// What says of a table's rows that their contents are lost.
fn check(table: ContentTable) -> Check {
    match table {
        ContentTable::Parts => Check::Part,
        ContentTable::Pieces => Check::Piece,
        ContentTable::ControlMessages => Check::Control,
    }
}

/// A content to be rebuilt.
struct Candidate {
    named: Named,
    subject: Subject,
    accepted: Option<PartHash>,
    is_behind_mark: bool,
}

pub(super) async fn rebuild_all(contents: &EmbeddedContents, notes: &mut Notes) -> Result<Rebuilt, BackendError> {
    let mut rebuilt = Rebuilt::default();
    for table in ContentTable::ALL {
        let mut after = (0, 0);
        loop {
            let candidates = contents.ledger().read(move |connection| next_rows(connection, table, after)).await?;
            let Some(last) = candidates.last() else { break };
            after = (last.named.row, last.named.place);
            for candidate in candidates {
                match fault(contents, &candidate).await? {
                    None => rebuilt.whole += 1,
                    Some(fault) if is_still_named(contents, table, &candidate.named).await? => {
                        rebuilt.lost += 1;
                        let detail = format!("{} {fault}", candidate.subject.detail);
                        let subject = Subject { detail, ..candidate.subject };
                        notes.add(FindingKind::LostContent, check(table), Key::Content(candidate.named), subject);
                        continue;
                    }
                    Some(_) => continue,
                }
                if candidate.is_behind_mark {
                    notes.add(FindingKind::ContentsMark, Check::Mark, Key::File, candidate.subject);
                }
            }
        }
    }
    Ok(rebuilt)
}

fn next_rows(connection: &Connection, table: ContentTable, after: (u64, u64)) -> Result<Vec<Candidate>, StoreError> {
    let committed = mark(contents_mark::load(connection)?);
    let mut statement = connection.prepare_cached(rows(table))?;
    let mut rows = statement.query(params![Number(after.0), Number(after.1), Number(limits::VERIFIED_AT_ONCE)])?;
    let mut candidates = Vec::new();
    while let Some(row) = rows.next()? {
        let named = named(row)?;
        let is_behind_mark = lies_behind(&named.handle, committed);
        let accepted = row.get::<_, Option<_>>(6).unwrap_or_default().map(PartHash);
        candidates.push(Candidate { named, subject: subject(row, 2)?, accepted, is_behind_mark });
    }
    Ok(candidates)
}

fn named(row: &Row<'_>) -> rusqlite::Result<Named> {
    let (Number(number), Number(place)) = (row.get(0)?, row.get(1)?);
    Ok(Named { row: number, place, handle: row.get(5)? })
}

/// What is wrong with a content, if anything is.
async fn fault(contents: &EmbeddedContents, candidate: &Candidate) -> Result<Option<&'static str>, BackendError> {
    let Some(content) = contents.rebuild(candidate.named.handle.clone()).await? else {
        return Ok(Some("cannot be rebuilt"));
    };
    let is_it = candidate.accepted.is_none_or(|accepted| PartHash::of(&content) == accepted);
    Ok((!is_it).then_some("is not what was accepted"))
}

/// What was let go of meanwhile is not lost. A handle never comes back to a row, so what stands there now stood there.
async fn is_still_named(contents: &EmbeddedContents, table: ContentTable, named: &Named) -> Result<bool, BackendError> {
    let (row, place) = (named.row, named.place);
    let look = move |connection: &Connection| {
        let mut statement = connection.prepare_cached(&table.handle())?;
        Ok(statement.query_one([Number(row), Number(place)], |row| row.get::<_, Vec<u8>>(0)).optional()?)
    };
    Ok(contents.ledger().read(look).await?.as_ref() == Some(&named.handle))
}
