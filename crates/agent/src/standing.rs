//! How far the relay has the agent's own receipts and control messages, compared with the store.
//!
//! | the relay's last head of receipts | what it means | what is done |
//! | --- | --- | --- |
//! | the store's last, or the batch that is under way | they agree | nothing |
//! | a later one | the store is an old copy | it is adopted: it bears the agent's own signature and the node's |
//! | an earlier one, another under the same number, none | the ledger was forked or cut | it is told, and both heads are kept |

use std::sync::atomic::Ordering;

use sealpost_protocol::{
    CountersignedHead, MessageId, ReceiptHead,
    encoding::{Decode, Encode},
};

use crate::{
    Agent, Event, RelayError, SendError,
    receipts::apart_key,
    records::{ForkRecord, ReceiptHeadRecord, ReceiptRecord},
    store::{Changes, StoreAccessError},
};

/// What the relay has; its head is under both signatures.
pub(crate) struct RelayStanding {
    pub(crate) receipt_head: Option<CountersignedHead>,
    pub(crate) last_control: Option<MessageId>,
}

/// Numbers of the last batch in an old copy and at its relay.
pub(crate) struct BehindInReceipts {
    pub(crate) store: u64,
    pub(crate) relay: u64,
}

impl Agent {
    /// Asks the relay.
    pub(crate) async fn relay_standing(&self) -> Result<RelayStanding, SendError> {
        let relay = self.relay().await?;
        let answer = relay.standing().await?;
        let receipt_head = match answer.receipt_head.as_slice() {
            [] => None,
            bytes => {
                let head = CountersignedHead::from_bytes(bytes).ok();
                let node = relay.node_id().await?;
                let is_ours = |head: &CountersignedHead| {
                    head.signed.head.recipient == self.id() && head.verify(&self.identity_key(), &node).is_ok()
                };
                let head = head.filter(is_ours);
                Some(head.ok_or(RelayError::Answer("the head of receipts is not under both signatures"))?)
            }
        };
        let last_control = match answer.last_control.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|_| RelayError::Answer("the id of a control message is none"))?),
        };
        Ok(RelayStanding { receipt_head, last_control })
    }

    /// Compares the receipts, and notes among `changes` what follows. Says so if the store is behind.
    pub(crate) async fn compare_receipts(
        &self,
        relays: Option<CountersignedHead>,
        changes: &mut Changes,
    ) -> Result<Option<BehindInReceipts>, SendError> {
        let ledger = self.ledger().await?.to_bytes();
        let known = self.store.find::<ReceiptHeadRecord>(&ledger).await?;
        let last = known.as_ref().and_then(|known| known.value.last);
        let under_way = known.as_ref().and_then(|known| known.value.under_way.clone());
        let standing = compare(
            last.map(|last| last.signed.head),
            under_way.as_ref().map(|batch| batch.signed_head().head),
            relays.map(|relays| relays.signed.head),
        );
        self.is_forked.store(standing == Receipts::Forked, Ordering::Relaxed);
        match (standing, last, relays) {
            (Receipts::Behind, last, Some(relays)) => {
                for leaf in under_way.iter().flat_map(|batch| batch.leaves()) {
                    changes.insert(apart_key(leaf), &ReceiptRecord { leaf: leaf.clone() });
                }
                let adopted = ReceiptHeadRecord { last: Some(relays), under_way: None };
                changes.upsert(&ledger, known.as_ref(), &adopted);
                let store = last.map_or(0, |last| last.signed.head.number);
                Ok(Some(BehindInReceipts { store, relay: relays.signed.head.number }))
            }
            (Receipts::Forked, Some(ours), relays) => {
                self.note_fork(&ledger, ours, relays, changes).await?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Told once for each head that the relay shows.
    async fn note_fork(
        &self,
        ledger: &[u8],
        ours: CountersignedHead,
        relays: Option<CountersignedHead>,
        changes: &mut Changes,
    ) -> Result<(), StoreAccessError> {
        let known = self.store.find::<ForkRecord>(ledger).await?;
        if known.as_ref().is_some_and(|known| (known.value.ours, known.value.relays) == (ours, relays)) {
            return Ok(());
        }
        let (store, relay) = (ours.signed.head.number, relays.map_or(0, |relays| relays.signed.head.number));
        tracing::error!(store, relay, "the relay's ledger contradicts a head of receipts that it has countersigned");
        changes.upsert(ledger, known.as_ref(), &ForkRecord { ours, relays, at: self.clock.now() });
        self.note(changes, Event::ForkedLedger { store, relay })
    }
}

/// What the two ends' heads say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receipts {
    Agree,
    Behind,
    Forked,
}

fn compare(last: Option<ReceiptHead>, under_way: Option<ReceiptHead>, relays: Option<ReceiptHead>) -> Receipts {
    let (number, root) = last.map_or((0, ReceiptHead::NO_ROOT), |last| (last.number, last.root));
    match relays {
        // Its answer was lost.
        Some(relays) if Some(relays) == under_way => Receipts::Agree,
        relays if relays == last => Receipts::Agree,
        Some(relays) if relays.number > number.saturating_add(1) => Receipts::Behind,
        Some(relays) if relays.number > number && relays.previous_root == root => Receipts::Behind,
        _ => Receipts::Forked,
    }
}

#[cfg(test)]
mod tests {
    use sealpost_protocol::AgentId;

    use super::*;

    fn head(number: u64, root: u8) -> Option<ReceiptHead> {
        let previous_root = if number == 1 { ReceiptHead::NO_ROOT } else { [root - 1; 32] };
        Some(ReceiptHead { recipient: AgentId::from_array([1; 32]), number, previous_root, root: [root; 32] })
    }

    #[test]
    fn heads_agree_or_one_end_is_behind_or_they_exclude_each_other() {
        let cases = [
            (None, None, None, Receipts::Agree),
            (head(3, 3), None, head(3, 3), Receipts::Agree),
            (head(3, 3), head(4, 4), head(3, 3), Receipts::Agree),
            (head(3, 3), head(4, 4), head(4, 4), Receipts::Agree),
            (None, head(1, 1), head(1, 1), Receipts::Agree),
            (None, None, head(1, 1), Receipts::Behind),
            (None, None, head(7, 7), Receipts::Behind),
            (head(3, 3), None, head(4, 4), Receipts::Behind),
            (head(3, 3), head(4, 14), head(4, 4), Receipts::Behind),
            (head(3, 3), None, head(9, 9), Receipts::Behind),
            (head(3, 3), None, head(4, 14), Receipts::Forked),
            (head(3, 3), None, head(3, 13), Receipts::Forked),
            (head(3, 3), None, head(2, 2), Receipts::Forked),
            (head(3, 3), head(4, 4), None, Receipts::Forked),
        ];
        for (last, under_way, relays, expected) in cases {
            assert_eq!(compare(last, under_way, relays), expected, "{last:?} {under_way:?} {relays:?}");
        }
    }
}
