//! The limit on messages in one mailbox, reached by setting its counter: ten thousand messages would take every run of
//! the tests a while. That the counter is right is for the model test to show.

use rusqlite::Connection;
use sealpost_core::{
    conformance::{Agent, Letter},
    ports::AcceptError,
};
use sealpost_storage::Embedded;

#[tokio::test]
async fn a_mailbox_takes_messages_up_to_its_limit_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let letter = |number| Letter::new(&alice, &[&bob]).number(number).acceptance();
    Embedded::open(directory.path()).unwrap().ledger().accept(letter(1)).await.unwrap();
    let database = Connection::open(directory.path().join("ledger.sqlite3")).unwrap();
    let nearly_full = i64::try_from(sealpost_protocol::limits::MAILBOX_MESSAGES).unwrap() - 1;
    database.execute("UPDATE mailboxes SET messages = ?1", [nearly_full]).unwrap();
    drop(database);
    let ledger = Embedded::open(directory.path()).unwrap().ledger();
    ledger.accept(letter(2)).await.unwrap();
    let refused = ledger.accept(letter(3)).await;
    assert!(matches!(refused, Err(AcceptError::MailboxFull { recipient }) if recipient == bob.id()), "{refused:?}");
}
