//! The embedded ledger does what the memory ledger does, whatever is asked of them in whatever order.
//!
//! Both give out the same numbers, with one exception: a sweep goes through messages in the one and through mailboxes
//! in the other, so among what one sweep failed the numbers are dealt differently.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use sealpost_core::{
    DeliveryRecord,
    conformance::{Agent, COUNTERSIGNATURE, HandClock, Letter, NOW, ReceiptBook},
    memory::MemoryLedger,
    ports::{
        AcceptanceOutcome, Change, ContentHandle, Ledger, MessageReader, PageQuery, RecordedReceipts, WaitingEntry,
    },
};
use sealpost_protocol::{AgentId, DeliveryState, FailureReason, ReceiptBatch, RefusalReason, Timestamp, Verdict};
use sealpost_storage::{Embedded, FindingKind};

const LETTERS: u64 = 6;

/// One thing asked of both ledgers.
#[derive(Debug, Clone)]
enum Step {
    Accept { letter: u64, attempt: u16, anew: bool, only: u8, bytes: u64 },
    HandOver { agent: usize, places: u8 },
    Receipts { agent: usize, said: Vec<(u64, u16, bool, u8)>, again: bool },
    Expire { rows: usize },
    Forget { seconds: u64 },
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let accept = (1..=LETTERS, 1_u16..4, prop::bool::weighted(0.3), any::<u8>(), 0..4_u64).prop_map(
        |(letter, attempt, anew, only, size)| {
            let bytes = [1, 100, 1 << 29, u64::MAX][size as usize];
            Step::Accept { letter, attempt, anew, only: if attempt == 1 { u8::MAX } else { only }, bytes }
        },
    );
    let said = prop::collection::vec((1..=LETTERS, 1_u16..4, prop::bool::weighted(0.3), 0..4_u8), 1..4);
    prop_oneof![
        6 => accept,
        2 => (0..4_usize, any::<u8>()).prop_map(|(agent, places)| Step::HandOver { agent, places }),
        5 => (0..4_usize, said, prop::bool::weighted(0.1))
            .prop_map(|(agent, said, again)| Step::Receipts { agent, said, again }),
        1 => (1..4_usize).prop_map(|rows| Step::Expire { rows }),
        1 => (0..60_u64).prop_map(|seconds| Step::Forget { seconds }),
        2 => (1..20_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// The letter of this number: some go to many, some to their sender, some have a body, some live for seconds.
fn letter(agents: &[Agent; 4], number: u64) -> Letter {
    let [alice, bob, carol, mallory] = agents;
    let soon = NOW.saturating_add(Duration::from_secs(number * 10));
    match number {
        1 => Letter::new(alice, &[bob]),
        2 => Letter::new(alice, &[bob, carol]).body(b"two"),
        3 => Letter::new(bob, &[alice, bob]).expires(soon),
        4 => Letter::new(carol, &[alice, bob, carol, mallory]).body(b"four").expires(soon),
        5 => Letter::new(alice, &[bob]).expires(soon),
        _ => Letter::new(mallory, &[bob, alice]).body(b"six"),
    }
    .number(number)
}

/// Both ledgers, and what a test must remember between steps.
struct Pair {
    agents: [Agent; 4],
    model: MemoryLedger,
    real: Arc<dyn Ledger>,
    now: Timestamp,
    batches: [Vec<ReceiptBatch>; 4],
}

impl Pair {
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Accept { letter, attempt, anew, only, bytes } => {
                let mut letter = self.letter(*letter, *attempt, *anew).copy().claimed_length(*bytes);
                if *only != u8::MAX {
                    letter = letter.clone().only(&self.chosen(&letter, *only));
                }
                let acceptance = letter.accepted(self.now);
                let (model, real) = (self.model.accept(acceptance.clone()).await, self.real.accept(acceptance).await);
                assert_eq!(format!("{:?}", real.map(outcome)), format!("{:?}", model.map(outcome)));
            }
            Step::HandOver { agent, places } => {
                let agent = self.agents[*agent].id();
                let page = self.model.page(whole_mailbox(agent, self.now)).await.unwrap();
                let chosen = |(index, _): &(usize, &WaitingEntry)| places & (1 << (index % 8)) != 0;
                let places: Vec<_> =
                    page.iter().enumerate().filter(chosen).map(|(_, entry)| entry.mailbox_seq).collect();
                let model = self.model.hand_over(agent, places.clone(), self.now).await.unwrap();
                assert_eq!(self.real.hand_over(agent, places, self.now).await.unwrap(), model);
            }
            Step::Receipts { agent, said, again } => self.receipts(*agent, said, *again).await,
            Step::Expire { rows } => {
                let model = sweep(&self.model, self.now, *rows).await;
                assert_eq!(sweep(&*self.real, self.now, *rows).await, model);
            }
            Step::Forget { seconds } => {
                let before = NOW.saturating_add(Duration::from_secs(*seconds));
                let model = self.model.forget(before, 1_000).await.unwrap();
                assert_eq!(self.real.forget(before, 1_000).await.unwrap(), model);
            }
            Step::Wait { seconds } => self.now = self.now.saturating_add(Duration::from_secs(*seconds)),
        }
    }

    async fn receipts(&mut self, agent: usize, said: &[(u64, u16, bool, u8)], again: bool) {
        let signer = &self.agents[agent];
        let mut book = ReceiptBook::new(signer);
        let earlier = &self.batches[agent];
        for batch in earlier {
            book.enter(batch);
        }
        let verdicts = [
            Verdict::Stored,
            Verdict::Acknowledged,
            Verdict::Refused(RefusalReason::Policy),
            Verdict::Refused(RefusalReason::Undecryptable),
        ];
        let leaves = said.iter().map(|(number, attempt, anew, verdict)| {
            self.letter(*number, *attempt, *anew).receipt(signer, verdicts[usize::from(*verdict)])
        });
        let batch = match earlier.last() {
            Some(last) if again => last.clone(),
            _ => book.sign(leaves.collect()),
        };
        let model = self.model.record_receipts(batch.clone(), COUNTERSIGNATURE, self.now).await;
        let real = self.real.record_receipts(batch.clone(), COUNTERSIGNATURE, self.now).await;
        let is_new = model.is_ok() && earlier.last() != Some(&batch);
        assert_eq!(format!("{:?}", real.map(recorded)), format!("{:?}", model.map(recorded)));
        if is_new {
            self.batches[agent].push(batch);
        }
    }

    /// Everything that can be asked, asked of both.
    async fn compare(&self) {
        for agent in &self.agents {
            let query = whole_mailbox(agent.id(), self.now);
            assert_eq!(self.real.page(query).await.unwrap(), self.model.page(query).await.unwrap());
            let real = self.real.changes(agent.id(), 0, 1_000).await.unwrap();
            assert!(real.is_sorted_by(|a, b| a.change_seq < b.change_seq));
            assert_eq!(changes(real), changes(self.model.changes(agent.id(), 0, 1_000).await.unwrap()));
        }
        for number in 1..=LETTERS {
            let message = letter(&self.agents, number).message();
            let real = self.real.records(message).await.unwrap();
            assert_eq!(records(real), records(self.model.records(message).await.unwrap()));
            for agent in &self.agents {
                let reader = MessageReader { agent: agent.id(), now: self.now };
                let model = self.model.body_piece(message, reader, 0).await.unwrap();
                assert_eq!(self.real.body_piece(message, reader, 0).await.unwrap(), model);
            }
        }
    }

    fn letter(&self, number: u64, attempt: u16, anew: bool) -> Letter {
        let letter = letter(&self.agents, number).attempt(attempt);
        if anew { letter.sealed_anew() } else { letter }
    }

    /// Some of a letter's recipients, at least one.
    fn chosen(&self, letter: &Letter, bits: u8) -> Vec<&Agent> {
        let header = letter.header();
        let recipients = header.fields().recipients.as_slice();
        let all: Vec<_> = self.agents.iter().filter(|agent| recipients.contains(&agent.id())).collect();
        let some: Vec<_> =
            all.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0).map(|(_, agent)| *agent).collect();
        if some.is_empty() { all } else { some }
    }
}

fn whole_mailbox(recipient: AgentId, now: Timestamp) -> PageQuery {
    PageQuery { recipient, after: 0, entries: 1_000, bytes: u64::MAX, now }
}

async fn sweep(ledger: &dyn Ledger, now: Timestamp, rows: usize) -> (Vec<AgentId>, Vec<Vec<u8>>) {
    let (mut agents, mut released, mut from) = (Vec::new(), Vec::new(), Some(0));
    while let Some(position) = from {
        let step = ledger.expire(now, position, rows).await.unwrap();
        agents.extend(step.agents);
        released.extend(step.released);
        from = step.next;
    }
    agents.sort();
    (agents, sorted(released))
}

fn sorted(handles: Vec<ContentHandle>) -> Vec<Vec<u8>> {
    let mut handles: Vec<_> = handles.into_iter().map(|handle| handle.0).collect();
    handles.sort();
    handles
}

fn outcome(outcome: AcceptanceOutcome) -> (Vec<AgentId>, Vec<Vec<u8>>) {
    (outcome.queued, sorted(outcome.unused))
}

fn recorded(recorded: RecordedReceipts) -> (Vec<AgentId>, Vec<Vec<u8>>) {
    (recorded.senders, sorted(recorded.released))
}

const EXPIRED: DeliveryState = DeliveryState::Failed(FailureReason::Expired);

fn changes(mut changes: Vec<Change>) -> Vec<Change> {
    for change in changes.iter_mut().filter(|change| change.state == EXPIRED) {
        change.change_seq = 0;
    }
    changes.sort_by_key(|change| (change.change_seq, change.message, change.recipient));
    changes
}

fn records(mut records: Vec<DeliveryRecord>) -> Vec<DeliveryRecord> {
    for record in records.iter_mut().filter(|record| record.status.state == EXPIRED) {
        record.status.change_seq = 0;
    }
    records
}

proptest! {
    #[test]
    fn the_embedded_ledger_does_what_the_memory_ledger_does(steps in prop::collection::vec(step(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let embedded = Embedded::open(directory.path()).unwrap();
        let mut pair = Pair {
            agents: [Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory()],
            model: MemoryLedger::default(),
            real: embedded.ledger(),
            now: NOW,
            batches: Default::default(),
        };
        runtime.block_on(async {
            for step in &steps {
                pair.take(step).await;
            }
            pair.compare().await;
            let node = Arc::new(Agent::new(0x0d));
            let contents = embedded.open_contents(node, Arc::<HandClock>::default()).await.unwrap();
            // The handles are made up, and those of a repetition are the same.
            let mut found = contents.verify().await.unwrap().findings;
            let by_handle = [FindingKind::LostContent, FindingKind::ReleasedButNeeded];
            found.retain(|found| !by_handle.contains(&found.kind));
            assert_eq!(found, []);
        });
    }
}
