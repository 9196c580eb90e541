//! Which contents are given back, and when: exactly those that nobody needs any more, once.

use std::sync::Arc;

use sealpost_protocol::{RefusalReason, Retention, Scheme, limits as wire};

use super::*;

pub async fn a_part_is_released_by_its_own_receipt(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]);
    accept(&*ledger, &letter).await;
    let verdicts = [(&carol, Verdict::Refused(RefusalReason::Policy)), (&bob, Verdict::Acknowledged)];
    for (recipient, verdict) in verdicts {
        let recorded = say(&*ledger, recipient, &letter, verdict).await;
        assert_eq!(recorded.released, [letter.part_handle(recipient)]);
    }
}

pub async fn the_body_goes_with_the_last_who_waits(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol, mallory) = (Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory());
    let letter = Letter::new(&alice, &[&bob, &carol, &mallory]).body(b"body");
    accept(&*ledger, &letter).await;
    let refused = Verdict::Refused(RefusalReason::Undecryptable);
    assert_eq!(say(&*ledger, &carol, &letter, refused).await.released, [letter.part_handle(&carol)]);
    assert_eq!(say(&*ledger, &bob, &letter, Verdict::Stored).await.released, [letter.part_handle(&bob)]);
    assert_eq!(body(&*ledger, letter.message(), &alice).await, letter.body_handle());
    let (_, released) = sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    assert_eq!(sorted(released), sorted([letter.part_handle(&mallory)].into_iter().chain(letter.body_handle())));
    assert_eq!(body(&*ledger, letter.message(), &alice).await, None);
}

pub async fn every_part_and_the_body_are_released_once(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    accept(&*ledger, &letter).await;
    let life = NOW.saturating_add(wire::MESSAGE_LIFE);
    let (_, released) = sweep(&*ledger, life).await;
    let all = [letter.part_handle(&bob), letter.part_handle(&carol)].into_iter().chain(letter.body_handle());
    assert_eq!(sorted(released), sorted(all));
    assert_eq!(sweep(&*ledger, life).await.1, []);
    assert_eq!(say(&*ledger, &bob, &letter, Verdict::Stored).await.released, []);
    assert_eq!(say(&*ledger, &carol, &letter, Verdict::Acknowledged).await.released, []);
}

pub async fn handing_over_releases_nothing(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]).body(b"body");
    accept(&*ledger, &letter).await;
    hand_over_all(&*ledger, &bob, NOW).await;
    assert_eq!(waiting(&*ledger, &bob).await[0].content, letter.part_handle(&bob));
    assert_eq!(body(&*ledger, letter.message(), &bob).await, letter.body_handle());
}

pub async fn what_is_released_is_noted_until_it_is_discarded(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    accept(&*ledger, &letter).await;
    assert_eq!(ledger.released(10).await.unwrap(), []);
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    assert_eq!(ledger.released(10).await.unwrap(), [letter.part_handle(&bob)]);
    ledger.discarded(vec![letter.part_handle(&bob)]).await.unwrap();
    assert_eq!(ledger.released(10).await.unwrap(), []);
    let (_, released) = sweep(&*ledger, NOW.saturating_add(wire::MESSAGE_LIFE)).await;
    assert_eq!(ledger.released(1).await.unwrap().len(), 1, "no more than asked for");
    assert_eq!(sorted(ledger.released(10).await.unwrap()), sorted(released.clone()));
    ledger.discarded(released).await.unwrap();
    let again = letter.copy();
    accept(&*ledger, &again).await;
    assert_eq!(sorted(ledger.released(10).await.unwrap()), sorted(handles(&again, &[&bob, &carol])), "of a repetition");
}

pub async fn without_a_ratchet_contents_stay_to_the_end_of_the_message_s_life(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    for (number, scheme) in [(1, Scheme::None), (2, Scheme::SharedKey), (3, Scheme::RecipientKeys)] {
        let letter = Letter::new(&alice, &[&bob, &carol]).number(number).scheme(scheme).body(b"body");
        accept(&*ledger, &letter).await;
        let mut books = [&bob, &carol].map(|agent| (agent, ReceiptBook::new(agent)));
        for (agent, book) in &mut books {
            for earlier in 1..number {
                let scheme = [Scheme::None, Scheme::SharedKey][usize::try_from(earlier).unwrap() - 1];
                let before = Letter::new(&alice, &[&bob, &carol]).number(earlier).scheme(scheme).body(b"body");
                let batch = book.sign(vec![before.receipt(agent, Verdict::Stored)]);
                book.enter(&batch);
            }
            let batch = book.sign(vec![letter.receipt(agent, Verdict::Stored)]);
            let recorded = ledger.record_receipts(batch, COUNTERSIGNATURE, NOW).await.unwrap();
            assert_eq!(recorded.released, []);
        }
        assert!(waiting(&*ledger, &bob).await.is_empty());
        for reader in [&alice, &bob, &carol] {
            assert_eq!(body(&*ledger, letter.message(), reader).await, letter.body_handle(), "{scheme}");
        }
        assert_eq!(body(&*ledger, letter.message(), &Agent::mallory()).await, None);
        let end = letter.header().fields().expires;
        let before = Timestamp::from_millis(end.as_millis() - 1);
        assert_eq!(ledger.end_retention(before, 10).await.unwrap().messages, 0);
        let ended = ledger.end_retention(end, 10).await.unwrap();
        assert_eq!(ended.messages, 1);
        assert_eq!(sorted(ended.released), sorted(handles(&letter, &[&bob, &carol])));
        assert_eq!(body(&*ledger, letter.message(), &bob).await, None);
        assert_eq!(ledger.end_retention(end, 10).await.unwrap().messages, 0);
    }
}

pub async fn what_someone_waits_for_outlives_its_retention(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).scheme(Scheme::SharedKey).body(b"body");
    accept(&*ledger, &letter).await;
    say(&*ledger, &bob, &letter, Verdict::Stored).await;
    let ended = ledger.end_retention(letter.header().fields().expires, 10).await.unwrap();
    assert_eq!(ended.released, [letter.part_handle(&bob)]);
    assert_eq!(body(&*ledger, letter.message(), &carol).await, letter.body_handle());
    let last = say(&*ledger, &carol, &letter, Verdict::Stored).await.released;
    assert_eq!(sorted(last), sorted([letter.part_handle(&carol)].into_iter().chain(letter.body_handle())));
}

pub async fn a_sender_s_choice_of_retention_stands_above_the_scheme(ledger: Arc<dyn Ledger>) {
    let (alice, bob, carol) = (Agent::alice(), Agent::bob(), Agent::carol());
    let letter = Letter::new(&alice, &[&bob, &carol]).body(b"body");
    let gone = letter.clone().scheme(Scheme::RecipientKeys).kept(Retention::UntilDelivered);
    let kept = letter.number(2).scheme(Scheme::Ratchet).kept(Retention::UntilExpiry);
    accept(&*ledger, &gone).await;
    accept(&*ledger, &kept).await;
    let verdict = Verdict::Stored;
    let (mut bobs, mut carols) = (ReceiptBook::new(&bob), ReceiptBook::new(&carol));
    let first = record(&*ledger, &mut bobs, vec![gone.receipt(&bob, verdict), kept.receipt(&bob, verdict)]).await;
    assert_eq!(first.released, [gone.part_handle(&bob)]);
    assert_eq!(body(&*ledger, gone.message(), &bob).await, None, "his own part in it is over");
    let last = record(&*ledger, &mut carols, vec![gone.receipt(&carol, verdict), kept.receipt(&carol, verdict)]).await;
    assert_eq!(sorted(last.released), sorted([gone.part_handle(&carol)].into_iter().chain(gone.body_handle())));
    for reader in [&alice, &bob, &carol] {
        assert_eq!(body(&*ledger, gone.message(), reader).await, None);
        assert_eq!(body(&*ledger, kept.message(), reader).await, kept.body_handle());
    }
    let end = kept.header().fields().expires;
    let before = Timestamp::from_millis(end.as_millis() - 1);
    assert_eq!(ledger.end_retention(before, 10).await.unwrap().messages, 0);
    let ended = ledger.end_retention(end, 10).await.unwrap();
    assert_eq!(ended.messages, 1, "of the other nothing was left");
    assert_eq!(sorted(ended.released), sorted(handles(&kept, &[&bob, &carol])));
}

pub async fn the_first_word_about_retention_stands(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]).scheme(Scheme::RecipientKeys).body(b"body");
    let first = letter.kept(Retention::UntilDelivered);
    accept(&*ledger, &first).await;
    let again = first.clone().copy().kept(Retention::UntilExpiry);
    let outcome = ledger.accept(again.acceptance()).await.unwrap();
    assert_eq!((outcome.queued.len(), sorted(outcome.unused)), (0, sorted(handles(&again, &[&bob]))));
    let released = say(&*ledger, &bob, &first, Verdict::Stored).await.released;
    assert_eq!(sorted(released), sorted(handles(&first, &[&bob])));
}

pub async fn a_part_sent_again_takes_the_place_of_the_one_that_was_kept(ledger: Arc<dyn Ledger>) {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = Letter::new(&alice, &[&bob]).scheme(Scheme::RecipientKeys);
    accept(&*ledger, &letter).await;
    let refused = say(&*ledger, &bob, &letter, Verdict::Refused(RefusalReason::Undecryptable)).await;
    assert_eq!(refused.released, []);
    let again = letter.clone().attempt(2).sealed_anew();
    let outcome = ledger.accept(again.acceptance()).await.unwrap();
    assert_eq!(outcome.unused, [letter.part_handle(&bob)]);
    assert_eq!(waiting(&*ledger, &bob).await[0].content, again.part_handle(&bob));
}

fn handles(letter: &Letter, recipients: &[&Agent]) -> Vec<ContentHandle> {
    recipients.iter().map(|agent| letter.part_handle(agent)).chain(letter.body_handle()).collect()
}
