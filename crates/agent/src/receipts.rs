//! Giving receipts: what is due is signed as one batch, stored, and sent as it is until the relay has confirmed it.

use sealpost_api::v1;
use sealpost_protocol::{ErrorCode, NodeId, ReceiptBatch, ReceiptHead, ReceiptLeaf, Signature, encoding::Encode};

use crate::{
    Agent, RelayError, SyncError,
    conflicts::retry_conflicts,
    limits,
    records::{ReceiptHeadRecord, ReceiptRecord},
    store::{Changes, Versioned},
};

impl Agent {
    /// Sends every receipt that is due. Returns how many the relay confirmed.
    ///
    /// # Errors
    /// [`SyncError`]; what is due stays due.
    pub async fn give_receipts(&self) -> Result<usize, SyncError> {
        let _turn = self.turns.take().await?;
        let mut given = 0;
        while let Some(count) = retry_conflicts(|| self.give_batch()).await? {
            given += count;
        }
        Ok(given)
    }

    /// Gives one batch, and says how many of its receipts the relay confirmed; `None` if nothing is due.
    async fn give_batch(&self) -> Result<Option<usize>, SyncError> {
        match self.batch_under_way().await? {
            Some((head, batch)) => self.give(&head, &batch).await.map(Some),
            None => Ok(None),
        }
    }

    /// The batch that is under way, or a new one of what is due; `None` if nothing is.
    async fn batch_under_way(&self) -> Result<Option<(Versioned<ReceiptHeadRecord>, ReceiptBatch)>, SyncError> {
        let node = self.node().await?;
        let head = self.store.find::<ReceiptHeadRecord>(node.as_bytes()).await?;
        if let Some((head, batch)) = head.as_ref().and_then(|head| Some((head, head.value.under_way.clone()?))) {
            return Ok(Some((head.clone(), batch)));
        }
        let due = self.due_receipts().await?;
        if due.is_empty() {
            return Ok(None);
        }
        let last = head.as_ref().and_then(|head| head.value.last);
        let leaves = due.iter().map(|row| row.value.leaf.clone()).collect();
        let batch = self.sign(leaves, last)?;
        let mut changes = Changes::default();
        let record = ReceiptHeadRecord { last, under_way: Some(batch.clone()) };
        changes.upsert(node.as_bytes(), head.as_ref(), &record);
        for row in &due {
            changes.delete(row);
        }
        self.store.commit(changes).await?;
        let version = head.map_or(0, |head| head.version) + 1;
        Ok(Some((Versioned { key: node.as_bytes().to_vec(), version, value: record }, batch)))
    }

    /// The first that are due. One that is damaged stands before no other.
    async fn due_receipts(&self) -> Result<Vec<Versioned<ReceiptRecord>>, SyncError> {
        let mut after = Vec::new();
        loop {
            let page = self.store.page::<ReceiptRecord>(&[], &after, limits::RECEIPTS).await?;
            match (page.last, page.damaged) {
                (Some(last), Some(_)) if page.rows.is_empty() => after = last,
                _ => return Ok(page.rows),
            }
        }
    }

    fn sign(&self, leaves: Vec<ReceiptLeaf>, last: Option<ReceiptHead>) -> Result<ReceiptBatch, SyncError> {
        let number = last.map_or(0, |last| last.number) + 1;
        let previous_root = last.map_or(ReceiptHead::NO_ROOT, |last| last.root);
        Ok(ReceiptBatch::sign(leaves, number, previous_root, self.identity.as_ref())?)
    }

    async fn give(&self, head: &Versioned<ReceiptHeadRecord>, batch: &ReceiptBatch) -> Result<usize, SyncError> {
        let relay = self.relay().await?;
        match relay.acknowledge(v1::AcknowledgeRequest { receipts: batch.to_bytes() }).await {
            Ok(answer) => {
                check_countersignature(batch, relay.node_id().await?, &answer)?;
                let mut changes = Changes::default();
                let last = Some(batch.signed_head().head);
                changes.replace(head, &ReceiptHeadRecord { last, under_way: None });
                self.store.commit(changes).await?;
                Ok(batch.leaves().len())
            }
            Err(error) if is_about_one_leaf(&error) => self.set_apart(head, batch, &error).await,
            Err(error) if is_out_of_sequence(&error) && self.has_moved_on(head).await? => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether another process of the agent has given this batch, and perhaps more.
    async fn has_moved_on(&self, head: &Versioned<ReceiptHeadRecord>) -> Result<bool, SyncError> {
        let now = self.store.find::<ReceiptHeadRecord>(&head.key).await?;
        Ok(now.is_some_and(|now| now.version != head.version))
    }

    /// The relay does not know one of the messages, or holds something else of it: go on without, one receipt at a time.
    async fn set_apart(
        &self,
        head: &Versioned<ReceiptHeadRecord>,
        batch: &ReceiptBatch,
        error: &RelayError,
    ) -> Result<usize, SyncError> {
        let mut changes = Changes::default();
        let last = head.value.last;
        let under_way = match batch.leaves() {
            [first, _, ..] => Some(self.sign(vec![first.clone()], last)?),
            alone => {
                tracing::warn!(messages = alone.len(), %error, "the relay does not take a receipt");
                None
            }
        };
        changes.replace(head, &ReceiptHeadRecord { last, under_way });
        for leaf in batch.leaves().iter().skip(1) {
            changes.insert(apart_key(leaf), &ReceiptRecord { leaf: leaf.clone() });
        }
        self.store.commit(changes).await?;
        Ok(0)
    }
}

fn is_about_one_leaf(error: &RelayError) -> bool {
    matches!(error.code(), Some(ErrorCode::NotFound | ErrorCode::Conflict))
}

fn is_out_of_sequence(error: &RelayError) -> bool {
    error.code() == Some(ErrorCode::ReceiptsOutOfSequence)
}

/// Before everything that arrives later.
fn apart_key(leaf: &ReceiptLeaf) -> Vec<u8> {
    [leaf.at.to_bytes().as_slice(), &leaf.blind].concat()
}

fn check_countersignature(
    batch: &ReceiptBatch,
    node: NodeId,
    answer: &v1::AcknowledgeResponse,
) -> Result<(), SyncError> {
    let signature = answer.countersignature.as_slice().try_into().map(Signature);
    let head = batch.signed_head().head;
    signature
        .ok()
        .and_then(|signature| head.verify_countersignature(&node, &signature).ok())
        .ok_or(SyncError::Countersignature)
}
