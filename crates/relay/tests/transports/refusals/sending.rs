//! Messages that are not taken.

use std::time::Duration;

use sealpost_api::v1;
use sealpost_core::conformance::NOW;
use sealpost_protocol::{Header, HeaderFields, MessageClass, Priority, Scheme, encoding::Encode, limits};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn new_letter() -> Letter {
    Letter::new(&Agent::alice(), &[&Agent::bob(), &Agent::carol()]).number(2).body(b"sealed for both")
}

/// The new letter under a header of which something else is said.
fn under(change: impl FnOnce(HeaderFields) -> HeaderFields) -> v1::SendRequest {
    let fields = change(new_letter().header().fields().clone());
    v1::SendRequest { header: Header::new(fields).unwrap().to_bytes(), ..send_request(&new_letter()) }
}

#[tokio::test]
async fn messages_that_may_not_be_sent_are_refused_on_both_transports_and_change_nothing() {
    let scene = Scene::set().await;
    let alice = &scene.alice;
    let send = |letter: Letter| send_request(&letter);
    let new = new_letter;
    let to_stranger = Letter::new(&Agent::alice(), &[&Agent::bob(), &Agent::mallory()]).number(2);
    insta::assert_snapshot!(
        scene
            .refusals([
                case("in another's name", &scene.mallory, send(new())),
                case("to one who has published nothing", alice, send(to_stranger)),
                case("from the future", alice, send(new().created(NOW.saturating_add(6 * MINUTE)))),
                case("from long ago", alice, send(new().created(NOW.saturating_sub(31 * DAY)))),
                case("whose life is over", alice, send(new().created(NOW.saturating_sub(DAY)))),
                case("with another header under a used id", alice, send(letter().priority(Priority::High))),
                case("with another part under a used id", alice, send(letter().sealed_anew())),
                case("again though the first attempt has not failed", alice, send(letter().sealed_anew().attempt(2))),
                case("to some of its recipients only", alice, send(new().only(&[&Agent::bob()]))),
                case("for the first time as a second attempt", alice, send(new().attempt(2))),
                case("in another scheme", alice, under(|fields| HeaderFields { scheme: Scheme::SharedKey, ..fields })),
                case(
                    "of the runtimes' class to several",
                    alice,
                    under(|fields| HeaderFields { class: MessageClass::Control, ..fields })
                ),
            ])
            .await
    );
}

#[tokio::test]
async fn messages_whose_pieces_do_not_fit_together_are_refused_on_both_transports_and_change_nothing() {
    let scene = Scene::set().await;
    let right = send_request(&new_letter());
    let with_parts = |change: &dyn Fn(&mut Vec<v1::Part>)| {
        let mut request = right.clone();
        change(&mut request.parts);
        request
    };
    let with_body = |body: Option<Vec<u8>>| v1::SendRequest { body, ..right.clone() };
    let mallory = Agent::mallory().id().to_string();
    let mut cases = vec![
        ("without parts".to_owned(), with_parts(&Vec::clear)),
        (
            "two parts for one recipient".to_owned(),
            with_parts(&|parts| parts[1].recipient = parts[0].recipient.clone()),
        ),
        ("a part for one who is no recipient".to_owned(), with_parts(&|parts| parts[1].recipient = mallory.clone())),
        ("a part for nobody".to_owned(), with_parts(&|parts| parts[1].recipient = "bob".to_owned())),
        ("attempt 0".to_owned(), with_parts(&|parts| parts[0].attempt = 0)),
        ("attempt 65,536".to_owned(), with_parts(&|parts| parts[0].attempt = 65_536)),
        ("without its body".to_owned(), with_body(None)),
        ("with an empty body".to_owned(), with_body(Some(Vec::new()))),
        ("with another body".to_owned(), with_body(Some(b"sealed for none".to_vec()))),
        ("with too large a body".to_owned(), with_body(Some(vec![0; limits::INLINE_BODY + 1]))),
        ("with too large a part".to_owned(), with_parts(&|parts| parts[0].envelope = vec![0; limits::ENVELOPE + 1])),
        ("with too long a header".to_owned(), v1::SendRequest { header: vec![0; limits::HEADER + 1], ..right.clone() }),
    ];
    for header in wrong_lengths(&right.header) {
        cases.push((format!("a header of {} bytes", header.len()), v1::SendRequest { header, ..right.clone() }));
    }
    for envelope in wrong_lengths(&right.parts[0].envelope) {
        let name = format!("an envelope of {} bytes", envelope.len());
        cases.push((name, with_parts(&|parts| parts[0].envelope = envelope.clone())));
    }
    let cases = cases.into_iter().map(|(name, request)| case(name, &scene.alice, request));
    insta::assert_snapshot!(scene.refusals(cases).await);
}
