//! Requests of the right form that the relay does not do: each is asked over both transports, gets the same refusal there,
//! and leaves everything as it was.

mod prekeys;
mod queries;
mod receipts;
mod sending;
mod tokens;
mod upload_quota;
mod uploads;

use std::fmt::Write;

use sealpost_core::conformance::{Agent, Letter};

use super::{
    ask::Ask,
    session::Session,
    test_relay::{TestRelay, send_request},
};

/// A relay with three members, one stranger, and one letter from Alice to Bob.
struct Scene {
    relay: TestRelay,
    alice: Session,
    bob: Session,
    carol: Session,
    /// Has a token, and has published nothing.
    mallory: Session,
}

/// A request that is refused: its name in the snapshot, who asks, and what.
struct Case {
    name: String,
    session: Session,
    ask: Ask,
}

fn case(name: impl Into<String>, session: &Session, ask: impl Into<Ask>) -> Case {
    Case { name: name.into(), session: session.clone(), ask: ask.into() }
}

/// The letter that Bob has not yet taken.
fn letter() -> Letter {
    Letter::new(&Agent::alice(), &[&Agent::bob()]).body(b"sealed for all")
}

/// What is one byte too short, one too long, or not there at all.
fn wrong_lengths(right: &[u8]) -> [Vec<u8>; 3] {
    [right[..right.len() - 1].to_vec(), [right, &[0]].concat(), Vec::new()]
}

impl Scene {
    async fn set() -> Self {
        let relay = TestRelay::start().await;
        let alice = relay.member(&Agent::alice()).await;
        let bob = relay.member(&Agent::bob()).await;
        let carol = relay.member(&Agent::carol()).await;
        let mallory = relay.session(&Agent::mallory()).await;
        relay.rest().ask(&alice, send_request(&letter())).await.unwrap();
        Self { relay, alice, bob, carol, mallory }
    }

    /// Asks each over both transports. Returns the problem documents, a line for each case.
    async fn refusals(&self, cases: impl IntoIterator<Item = Case>) -> String {
        let sessions = [&self.alice, &self.bob, &self.carol, &self.mallory];
        let (wires, before) = (self.relay.wires().await, self.relay.view(&sessions).await);
        let mut lines = String::new();
        for Case { name, session, ask } in cases {
            let [grpc, rest] = &wires;
            let grpc = grpc.ask(&session, ask.clone()).await.expect_err(&name);
            let rest = rest.ask(&session, ask).await.expect_err(&name);
            assert_eq!((grpc.code, grpc.detail), (rest.code, rest.detail), "{name}");
            assert!(self.relay.view(&sessions).await == before, "{name} has changed something");
            writeln!(lines, "{name}: {}", rest.document).unwrap();
        }
        lines
    }
}
