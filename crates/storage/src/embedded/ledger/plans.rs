//! The ledger's statements use the indexes that were made for them.

use super::{
    bodies, change_numbers, changes, control_messages, deliveries, expiry, fan_outs, forgetting, mailboxes, messages,
    pages, receipts, released, retention, uploads,
};
use crate::embedded::{
    contents_mark, identity,
    schema::tests::{plan, slow},
};

#[test]
fn no_statement_reads_a_table_from_end_to_end() {
    let statements = [
        bodies::INSERT,
        bodies::EXISTS,
        bodies::PIECE,
        bodies::RELEASE,
        bodies::TAKE_OUT,
        bodies::INSERT_PIECE,
        bodies::RELEASE_PIECES,
        bodies::COUNT,
        bodies::DISCOUNT,
        bodies::FORGET_SENDER,
        change_numbers::LOAD,
        change_numbers::SAVE,
        changes::SENT,
        changes::PENDING,
        changes::IN_TRANSIT,
        control_messages::KNOWN,
        control_messages::HOW_MANY_OTHERS,
        control_messages::SUPERSEDE,
        control_messages::INSERT,
        control_messages::SET_LAST,
        control_messages::LAST,
        control_messages::EXPIRED_OF,
        control_messages::TAKE,
        control_messages::LOSE,
        control_messages::EXPIRE,
        control_messages::WAITING,
        deliveries::RECIPIENT,
        deliveries::LOAD,
        deliveries::INSERT,
        deliveries::UPDATE,
        expiry::DUE_MAILBOXES,
        expiry::DUE_DELIVERIES,
        expiry::SET_NEXT_EXPIRY,
        expiry::NOTE_SWEEP,
        expiry::SWEPT_AT,
        fan_outs::BEGIN,
        fan_outs::FIND,
        fan_outs::RECORD,
        fan_outs::END,
        fan_outs::TAKE_BACK,
        identity::LOAD,
        identity::TAKE,
        identity::RENAME,
        forgetting::WAITS,
        forgetting::DELETE_DELIVERIES,
        forgetting::DELETE_MESSAGE,
        mailboxes::ENTER,
        mailboxes::LEAVE,
        mailboxes::INSERT_PART,
        mailboxes::RELEASE_PART,
        messages::FIND,
        messages::INSERT,
        pages::PAGE,
        pages::ENTRY,
        receipts::LAST_HEAD,
        receipts::SIGNED_HEAD,
        receipts::SET_LAST_HEAD,
        uploads::FIND,
        uploads::HOW_MANY,
        uploads::INSERT,
        uploads::PROLONG,
        uploads::DELETE,
        uploads::PIECES,
        uploads::HOW_MANY_PIECES,
        uploads::PIECE_HASH,
        uploads::EXPIRED,
    ];
    assert_eq!(slow(&statements), []);
}

#[test]
fn no_statement_about_contents_reads_a_table_from_end_to_end() {
    let statements = [
        bodies::FIRST_PIECES,
        deliveries::EXPIRES_AT,
        mailboxes::FILL,
        mailboxes::PART,
        contents_mark::LOAD,
        contents_mark::RAISE,
        released::NOTE,
        released::FORGET,
        retention::KEEP,
        retention::IS_KEPT,
        retention::DUE,
        retention::END,
        retention::RELEASE_PARTS,
    ];
    assert_eq!(slow(&statements), []);
}

#[test]
fn the_oldest_messages_are_read_in_the_order_of_their_rows() {
    assert_eq!(plan(forgetting::OLDEST), ["SCAN messages"], "up to the first that is young");
}

#[test]
fn a_page_goes_through_the_mailbox_and_fetches_by_row() {
    let expected = [
        "SEARCH d USING INDEX waiting (recipient=? AND mailbox_seq>?)",
        "SEARCH m USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
        "SEARCH p USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
    ];
    assert_eq!(plan(pages::PAGE), expected);
    assert_eq!(plan(pages::ENTRY), ["SEARCH deliveries USING COVERING INDEX waiting (recipient=? AND mailbox_seq=?)"]);
}

#[test]
fn each_part_of_the_feed_has_its_index() {
    let by_row = "SEARCH m USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN";
    assert_eq!(plan(changes::SENT), ["SEARCH d USING INDEX sent (sender=? AND change_seq>?)", by_row]);
    assert_eq!(plan(changes::PENDING), ["SEARCH d USING INDEX waiting (recipient=? AND mailbox_seq>?)", by_row]);
    assert_eq!(plan(changes::IN_TRANSIT), ["SEARCH d USING INDEX in_transit (recipient=? AND change_seq>?)", by_row]);
    assert_eq!(plan(changes::LOST), ["SEARCH d USING INDEX lost (recipient=? AND change_seq>?)", by_row]);
}

#[test]
fn a_message_is_found_by_its_name_and_its_deliveries_by_their_rows() {
    let by_name = "SEARCH messages USING INDEX messages_by_name (message_id=? AND sender=?)";
    assert_eq!(plan(messages::FIND), [by_name]);
    let by_row =
        ["SEARCH d USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)"];
    assert_eq!(plan(deliveries::LOAD), by_row);
    let release = plan(bodies::RELEASE);
    let range = "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)".to_owned();
    assert!(release.contains(&range), "{release:?}");
}

#[test]
fn a_sweep_reads_mailboxes_in_order_and_looks_into_the_due_ones() {
    assert_eq!(plan(expiry::DUE_MAILBOXES), ["SEARCH mailboxes USING PRIMARY KEY (recipient>?)"]);
    assert_eq!(plan(expiry::DUE_DELIVERIES), ["SEARCH deliveries USING INDEX waiting (recipient=? AND mailbox_seq>?)"]);
}
