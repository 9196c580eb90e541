//! Giving receipts: what is due is signed as one batch, stored, and sent as it is until the relay has confirmed it.

use sealpost_api::v1;
use sealpost_protocol::{
    CountersignedHead, ErrorCode, NodeId, ReceiptBatch, ReceiptHead, ReceiptLeaf, Signature, encoding::Encode,
};

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
        let ledger = self.ledger().await?;
        let key = ledger.to_bytes();
        let head = self.store.find::<ReceiptHeadRecord>(&key).await?;
        if head.is_none() {
            self.take_back_receipts(ledger.node).await?;
        }
        if let Some((head, batch)) = head.as_ref().and_then(|head| Some((head, head.value.under_way.clone()?))) {
            return Ok(Some((head.clone(), batch)));
        }
        let due = self.due_receipts().await?;
        if due.is_empty() {
            return Ok(None);
        }
        let last = head.as_ref().and_then(|head| head.value.last);
        let leaves = due.iter().map(|row| row.value.leaf.clone()).collect();
        let batch = self.sign(leaves, last.map(|last| last.signed.head))?;
        let mut changes = Changes::default();
        let record = ReceiptHeadRecord { last, under_way: Some(batch.clone()) };
        changes.upsert(&key, head.as_ref(), &record);
        for row in &due {
            changes.delete(row);
        }
        self.store.commit(changes).await?;
        let version = head.map_or(0, |head| head.version) + 1;
        Ok(Some((Versioned { key, version, value: record }, batch)))
    }

    /// What is under way to earlier ledgers of a node that now keeps another: they will not confirm it, and the one of now
    /// may know the messages.
    async fn take_back_receipts(&self, node: NodeId) -> Result<(), SyncError> {
        let mut changes = Changes::default();
        for head in self.store.list::<ReceiptHeadRecord>(node.as_bytes(), &[], limits::ROWS).await? {
            let Some(batch) = &head.value.under_way else { continue };
            for leaf in batch.leaves() {
                changes.insert(apart_key(leaf), &ReceiptRecord { leaf: leaf.clone() });
            }
            changes.replace(&head, &ReceiptHeadRecord { last: head.value.last, under_way: None });
        }
        Ok(self.store.commit(changes).await?)
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
                let last = Some(countersigned(batch, relay.node_id().await?, &answer)?);
                for refused in &answer.refused {
                    tracing::warn!(index = refused.index, code = refused.code, "the relay does not take a receipt");
                }
                let mut changes = Changes::default();
                changes.replace(head, &ReceiptHeadRecord { last, under_way: None });
                self.store.commit(changes).await?;
                Ok(batch.leaves().len())
            }
            Err(error) if is_out_of_sequence(&error) && self.has_moved_on(head).await? => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether another process of the agent has given this batch, and perhaps more; or the node keeps another ledger by now.
    async fn has_moved_on(&self, head: &Versioned<ReceiptHeadRecord>) -> Result<bool, SyncError> {
        let now = self.store.find::<ReceiptHeadRecord>(&head.key).await?;
        Ok(now.is_some_and(|now| now.version != head.version) || self.ledger().await?.to_bytes() != head.key)
    }
}

fn is_out_of_sequence(error: &RelayError) -> bool {
    error.code() == Some(ErrorCode::ReceiptsOutOfSequence)
}

/// Before everything that arrives later.
pub(crate) fn apart_key(leaf: &ReceiptLeaf) -> Vec<u8> {
    [leaf.at.to_bytes().as_slice(), &leaf.blind].concat()
}

/// The batch's head under both signatures, if the node's is right.
fn countersigned(
    batch: &ReceiptBatch,
    node: NodeId,
    answer: &v1::AcknowledgeResponse,
) -> Result<CountersignedHead, SyncError> {
    let signature = answer.countersignature.as_slice().try_into().map(Signature);
    let countersignature = signature.map_err(|_| SyncError::Countersignature)?;
    let signed = *batch.signed_head();
    let verified = signed.head.verify_countersignature(&node, &countersignature);
    verified.map_err(|_| SyncError::Countersignature)?;
    Ok(CountersignedHead { signed, countersignature })
}
