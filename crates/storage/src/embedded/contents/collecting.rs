//! Collecting beside everything else: what a crash has left over before a mark that was committed later.
//!
//! Only what was appended since the last collection is looked at, a few segments at a time; which of it is needed the ledger
//! tells in small reads with pauses between them. A row may go meanwhile, and then its handle is among those that are
//! released, which are read last: so nothing that is needed is missed.

use std::time::Duration;

use rusqlite::{Connection, Transaction, params};
use sealpost_blocks::{BlockHandle, BlockStore, Needs};
use sealpost_core::ports::BackendError;

use super::{Blocks, CollectionReport, EmbeddedContents, StoreError, blocks, contents_mark};
use crate::{
    embedded::{
        columns::Number,
        named_contents::{ContentTable, RELEASED_PAGE},
    },
    limits,
};

/// A few handles, and where the next ones begin.
struct Batch<P> {
    handles: Vec<Vec<u8>>,
    next: Option<P>,
}

impl EmbeddedContents {
    /// One step of collecting in the background; `pause` lies between its reads. Says what it found; `None` if there is
    /// nothing new to look at, or a backup is being made.
    ///
    /// # Errors
    /// [`BackendError`]; also if a content that may be needed cannot be read. What was collected before stays so.
    pub async fn collect_some(&self, pause: Duration) -> Result<Option<CollectionReport>, BackendError> {
        let marks = |connection: &Connection| {
            Ok((contents_mark::load_collected(connection)?, contents_mark::load(connection)?))
        };
        let (collected, committed) = self.ledger().read(marks).await?;
        // In this order: what is settled now is in what is read of the ledger next.
        let before = self.blocks.settled(blocks::mark(committed));
        let begin = move |store: &BlockStore| store.needs(blocks::mark(collected), before);
        let mut needs = self.with_store(begin).await?;
        if needs.is_empty() {
            return Ok(None);
        }
        for table in ContentTable::ALL {
            let mut next = Some((0, 0));
            while let Some(after) = next {
                let batch = self.ledger().read(move |connection| named(connection, table, after)).await?;
                needs = self.need(needs, batch.handles).await?;
                next = batch.next;
                tokio::time::sleep(pause).await;
            }
        }
        let mut next = Some(Vec::new());
        while let Some(after) = next {
            let batch = self.ledger().read(move |connection| released(connection, &after)).await?;
            needs = self.need(needs, batch.handles).await?;
            next = batch.next;
        }
        self.finish(needs).await
    }

    /// Notes which of these contents are needed.
    async fn need(&self, mut needs: Needs, handles: Vec<Vec<u8>>) -> Result<Needs, BackendError> {
        if handles.is_empty() {
            return Ok(needs);
        }
        let need = move |store: &BlockStore| {
            // What is no handle leads to no blocks.
            for handle in handles.iter().filter_map(|bytes| BlockHandle::from_bytes(bytes).ok()) {
                store.need(&mut needs, &handle).map_err(BackendError::new)?;
            }
            Ok(needs)
        };
        self.with_store(need).await?
    }

    async fn finish(&self, needs: Needs) -> Result<Option<CollectionReport>, BackendError> {
        let collect = move |blocks: &Blocks| {
            let Ok(_kept) = blocks.keeping.try_read() else { return Ok(None) };
            let collect = |store: &BlockStore| {
                let found = store.collect_within(&needs).map_err(BackendError::new)?;
                if found.collected > 0 {
                    blocks.sync(store).map_err(BackendError::new)?;
                }
                Ok(Some((found, blocks::position(needs.before()))))
            };
            blocks.with(collect).map_err(BackendError::new)?
        };
        let Some((found, until)) = self.blocking(collect).await? else { return Ok(None) };
        let note = move |transaction: &Transaction<'_>| Ok(contents_mark::set_collected(transaction, until)?);
        self.ledger().write::<_, BackendError>(note).await?;
        Ok(Some(found))
    }

    async fn with_store<T: Send + 'static>(
        &self,
        act: impl FnOnce(&BlockStore) -> T + Send + 'static,
    ) -> Result<T, BackendError> {
        self.blocking(move |blocks| blocks.with(act).map_err(BackendError::new)).await
    }
}

fn named(connection: &Connection, table: ContentTable, after: (u64, u64)) -> Result<Batch<(u64, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(&table.page())?;
    let mut rows = statement.query(params![Number(after.0), Number(after.1), limits::COLLECTED_AT_ONCE])?;
    let mut batch = Batch { handles: Vec::new(), next: None };
    while let Some(row) = rows.next()? {
        let (Number(first), Number(second)) = (row.get(1)?, row.get(2)?);
        batch.handles.push(row.get(0)?);
        batch.next = Some((first, second));
    }
    Ok(batch)
}

fn released(connection: &Connection, after: &[u8]) -> Result<Batch<Vec<u8>>, StoreError> {
    let mut statement = connection.prepare_cached(RELEASED_PAGE)?;
    let rows = statement.query_map(params![after, limits::COLLECTED_AT_ONCE], |row| row.get(0))?;
    let handles: Vec<Vec<u8>> = rows.collect::<Result<_, _>>()?;
    Ok(Batch { next: handles.last().cloned(), handles })
}
