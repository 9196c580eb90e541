//! What every adapter of [`Ledger`] must do.

mod acceptance;
mod attempts;
mod changes;
mod control_messages;
mod expiry;
mod fan_outs;
mod giving_up;
mod mailboxes;
mod pages;
mod queries;
mod receipts;
mod release;
mod uploads;

use std::collections::BTreeSet;

use sealpost_protocol::{AgentId, DeliveryStatus, MessageRef, ReceiptLeaf, Timestamp, Verdict};

pub use self::{
    acceptance::*, attempts::*, changes::*, control_messages::*, expiry::*, fan_outs::*, giving_up::*, mailboxes::*,
    pages::*, queries::*, receipts::*, release::*, uploads::*,
};
use super::{Agent, COUNTERSIGNATURE, Letter, NOW, ReceiptBook};
use crate::{
    DeliveryRecord,
    ports::{
        AcceptanceOutcome, Change, ContentHandle, Ledger, MessageHandles, MessageReader, PageQuery, RecordedReceipts,
        WaitingEntry,
    },
};

/// Makes every check of the suite a test: `ledger_conformance!(make)`, where `make` is an async function that returns
/// an empty adapter and something to keep until the check is over.
#[macro_export]
macro_rules! ledger_conformance {
    ($make:path) => {
        $crate::conformance_tests! { $make, ledger:
            an_accepted_message_waits_for_every_recipient
            the_same_submission_again_records_nothing
            one_recipient_s_part_again_records_nothing
            another_header_under_a_used_id_is_a_conflict
            another_part_under_a_used_attempt_is_a_conflict
            an_id_belongs_to_its_sender
            an_unknown_message_needs_a_first_part_for_everyone
            a_refused_message_leaves_no_trace
            of_concurrent_submissions_of_one_message_exactly_one_queues
            concurrent_messages_to_one_mailbox_all_wait_in_one_order

            an_expired_message_may_be_sent_again
            a_refused_message_may_be_sealed_anew
            an_attempt_is_not_repeated_before_the_last_one_failed
            attempts_are_counted_one_by_one
            a_failed_attempt_again_is_a_duplicate
            the_next_attempt_stands_at_the_end_of_the_mailbox
            the_next_attempt_brings_the_body_back
            the_next_attempt_leaves_a_body_that_is_there
            a_conflict_in_one_part_stops_the_next_attempt_of_another
            a_receipt_of_an_earlier_attempt_is_a_conflict
            what_is_lost_fails_leaves_the_mailbox_and_is_told_once

            a_mailbox_takes_bytes_up_to_its_limit_and_no_more
            one_full_mailbox_refuses_the_message_for_all
            a_full_mailbox_still_knows_what_it_has
            a_receipt_makes_room
            expiry_makes_room
            the_next_attempt_needs_room

            an_entry_shows_what_was_accepted
            a_page_is_in_the_order_of_acceptance
            a_page_begins_after_a_place
            a_page_has_no_more_entries_than_asked_for
            a_page_ends_before_it_has_too_many_bytes_but_not_before_one_entry
            a_page_shows_nothing_whose_life_has_ended
            handing_over_is_told_to_the_sender_once
            handing_over_consumes_nothing
            handing_over_touches_only_the_named_entries_of_the_recipient

            a_stored_receipt_delivers
            an_acknowledgement_follows_the_stored_receipt
            one_batch_may_say_stored_and_acknowledged
            a_refusal_fails_the_attempt
            a_late_receipt_corrects_expiry
            the_recipient_s_signed_word_is_kept
            batches_are_recorded_in_their_sequence_only
            every_recipient_counts_its_own_batches
            the_last_batch_again_records_nothing
            the_last_batch_under_another_previous_root_is_another_batch
            an_unknown_message_in_a_batch_is_named_and_stops_nothing_else
            a_contradiction_in_a_batch_is_named_and_stops_nothing_else
            a_receipt_for_another_s_message_is_unknown
            a_word_said_before_is_recorded_and_is_no_news

            a_part_is_released_by_its_own_receipt
            the_body_goes_with_the_last_who_waits
            every_part_and_the_body_are_released_once
            handing_over_releases_nothing
            what_is_released_is_noted_until_it_is_discarded
            without_a_ratchet_contents_stay_to_the_end_of_the_message_s_life
            what_someone_waits_for_outlives_its_retention
            a_sender_s_choice_of_retention_stands_above_the_scheme
            the_first_word_about_retention_stands
            a_part_sent_again_takes_the_place_of_the_one_that_was_kept

            the_sender_follows_its_message_to_the_end
            a_recipient_hears_of_what_waits_and_of_what_is_lost_and_of_nothing_else
            a_stranger_hears_nothing
            every_change_has_a_number_of_its_own
            a_feed_resumes_where_it_stopped
            a_feed_shows_the_latest_state_only
            a_message_to_oneself_is_one_change

            records_are_ascending_by_recipient
            an_unknown_message_has_no_records
            a_body_is_shown_to_its_sender_and_to_those_for_whom_it_waits
            a_message_without_a_body_shows_none
            nothing_of_a_message_is_shown_when_its_life_is_over
            handles_are_told_to_those_who_may_read
            what_is_kept_is_told_when_it_is_delivered
            no_more_pieces_of_a_body_are_told_than_asked_for

            a_control_message_waits_in_the_order_of_acceptance
            a_page_is_cut_in_the_one_order
            a_newer_control_message_supersedes_its_senders_one_alone
            an_older_control_message_or_the_same_again_is_not_taken
            a_control_message_has_no_status_no_change_and_no_receipt
            control_messages_and_users_mail_have_room_of_their_own
            control_messages_leave_when_they_are_taken
            a_control_message_ends_with_its_life
            a_lost_control_message_goes_without_a_word
            the_standing_of_an_agent_is_its_last_head_and_its_highest_control_message

            nothing_of_a_fan_out_is_seen_before_its_last_part
            a_finished_fan_out_is_a_message_like_any_other
            others_are_accepted_between_the_parts_of_a_fan_out
            a_feed_passes_over_no_part_of_a_fan_out
            a_hidden_part_takes_its_room_until_it_is_abandoned
            a_fan_out_that_finds_no_room_may_be_abandoned_and_leaves_nothing
            an_abandoned_fan_out_may_begin_anew
            a_fan_out_under_a_used_id_is_a_conflict
            a_fan_out_ends_whole_or_not_at_all

            an_upload_takes_its_pieces_in_any_order
            a_piece_again_is_given_back_and_another_in_its_place_refused
            an_upload_s_id_belongs_to_its_owner
            an_upload_begun_again_goes_on_and_another_under_its_id_is_a_conflict
            an_owner_has_no_more_uploads_and_bytes_than_its_quota
            a_complete_upload_becomes_the_message_s_body
            an_upload_that_is_not_the_message_s_body_is_refused_and_stays
            the_same_submission_again_lets_go_of_a_second_upload
            the_next_attempt_may_bring_the_body_as_an_upload
            a_cancelled_upload_gives_everything_back
            an_upload_expires_unless_it_goes_on

            what_has_lived_long_enough_fails
            a_message_is_given_up_when_its_life_is_over_and_not_before
            a_lost_body_fails_all_who_wait_and_goes
            a_body_that_was_replaced_is_not_lost
            the_time_of_the_last_sweep_is_kept
            a_sweep_in_small_steps_reaches_everything
            a_sweep_tells_both_sides_and_only_once
            a_sweep_leaves_what_is_delivered
            an_old_message_is_forgotten
            no_more_is_forgotten_than_asked_for
            what_still_waits_is_not_forgotten
            a_forgotten_id_may_be_used_again
            numbers_go_on_after_everything_was_forgotten
            the_sequence_of_receipts_outlives_the_messages
        }
    };
}

/// Has the ledger accept a letter at [`NOW`].
async fn accept(ledger: &dyn Ledger, letter: &Letter) -> AcceptanceOutcome {
    ledger.accept(letter.acceptance()).await.unwrap()
}

/// Everything that waits for `agent` at [`NOW`].
async fn waiting(ledger: &dyn Ledger, agent: &Agent) -> Vec<WaitingEntry> {
    waiting_at(ledger, agent, NOW).await
}

async fn waiting_at(ledger: &dyn Ledger, agent: &Agent, now: Timestamp) -> Vec<WaitingEntry> {
    let query = PageQuery { recipient: agent.id(), after: 0, entries: 1_000, bytes: u64::MAX, now };
    ledger.page(query).await.unwrap()
}

/// Hands everything that waits for `agent` over to it; returns who heard of it.
async fn hand_over_all(ledger: &dyn Ledger, agent: &Agent, at: Timestamp) -> Vec<AgentId> {
    let entries = waiting(ledger, agent).await.iter().map(|entry| entry.mailbox_seq).collect();
    ledger.hand_over(agent.id(), entries, at).await.unwrap()
}

/// What is recorded of a letter for one recipient.
async fn status(ledger: &dyn Ledger, letter: &Letter, recipient: &Agent) -> DeliveryStatus {
    let records = ledger.records(letter.message()).await.unwrap();
    records.into_iter().map(|record| record.status).find(|status| status.recipient == recipient.id()).unwrap()
}

/// Records the book's next batch at [`NOW`].
async fn record(ledger: &dyn Ledger, book: &mut ReceiptBook<'_>, receipts: Vec<ReceiptLeaf>) -> RecordedReceipts {
    let batch = book.sign(receipts);
    let recorded = ledger.record_receipts(batch.clone(), COUNTERSIGNATURE, NOW).await.unwrap();
    book.enter(&batch);
    recorded
}

/// Records that `recipient`, who has signed nothing before, says `verdict` of a letter.
async fn say(ledger: &dyn Ledger, recipient: &Agent, letter: &Letter, verdict: Verdict) -> RecordedReceipts {
    record(ledger, &mut ReceiptBook::new(recipient), vec![letter.receipt(recipient, verdict)]).await
}

/// Sweeps to the end in the smallest steps; returns whom it told and what it released.
async fn sweep(ledger: &dyn Ledger, now: Timestamp) -> (Vec<AgentId>, Vec<ContentHandle>) {
    let (mut agents, mut released, mut from) = (Vec::new(), Vec::new(), Some(0));
    while let Some(position) = from {
        let step = ledger.expire(now, position, 1).await.unwrap();
        agents.extend(step.agents);
        released.extend(step.released);
        from = step.next;
    }
    (agents, released)
}

/// All changes that concern `agent`.
async fn changes(ledger: &dyn Ledger, agent: &Agent) -> Vec<Change> {
    ledger.changes(agent.id(), 0, 1_000).await.unwrap()
}

/// Who is named, however often and in whatever order.
fn named(agents: impl IntoIterator<Item = AgentId>) -> BTreeSet<AgentId> {
    agents.into_iter().collect()
}

/// The agents' names, to be compared with [`named`].
fn ids(agents: &[&Agent]) -> BTreeSet<AgentId> {
    agents.iter().map(|agent| agent.id()).collect()
}

/// Handles in an order of their own.
fn sorted(handles: impl IntoIterator<Item = ContentHandle>) -> Vec<Vec<u8>> {
    let mut handles: Vec<_> = handles.into_iter().map(|handle| handle.0).collect();
    handles.sort();
    handles
}

/// What the ledger shows of the four agents and these letters: whatever leaves it as it was has changed nothing.
#[derive(Debug, PartialEq, Eq)]
struct Everything {
    waiting: Vec<Vec<WaitingEntry>>,
    changes: Vec<Vec<Change>>,
    records: Vec<Vec<DeliveryRecord>>,
    handles: Vec<MessageHandles>,
}

async fn everything(ledger: &dyn Ledger, letters: &[&Letter]) -> Everything {
    let mut seen = Everything { waiting: Vec::new(), changes: Vec::new(), records: Vec::new(), handles: Vec::new() };
    for agent in [Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory()] {
        seen.waiting.push(waiting_at(ledger, &agent, Timestamp::default()).await);
        seen.changes.push(changes(ledger, &agent).await);
    }
    for letter in letters {
        seen.records.push(ledger.records(letter.message()).await.unwrap());
        for agent in [Agent::alice(), Agent::bob(), Agent::carol(), Agent::mallory()] {
            seen.handles.push(handles(ledger, letter, &agent).await);
        }
    }
    seen
}

fn reads_at(agent: &Agent, now: Timestamp) -> MessageReader {
    MessageReader { agent: agent.id(), now }
}

/// Where everything of a letter lies that `reader` may read.
async fn handles(ledger: &dyn Ledger, letter: &Letter, reader: &Agent) -> MessageHandles {
    ledger.handles(letter.message(), reads_at(reader, Timestamp::default()), usize::MAX).await.unwrap()
}

/// Where a body of one piece lies, if `reader` may read it.
async fn body(ledger: &dyn Ledger, message: MessageRef, reader: &Agent) -> Option<ContentHandle> {
    ledger.body_piece(message, reads_at(reader, NOW), 0).await.unwrap().and_then(|piece| piece.content)
}
