//! Questions about messages that have no answer.

use sealpost_api::v1;

use super::*;

#[tokio::test]
async fn questions_about_messages_that_are_not_there_for_the_caller_are_refused_on_both_transports_and_change_nothing()
{
    let scene = Scene::set().await;
    let message = |letter: Letter| {
        let message = letter.message();
        (message.sender.to_string(), message.id.to_string())
    };
    let (alice, known) = message(letter());
    let (_, unknown) = message(letter().number(7));
    let cut = known[..known.len() - 1].to_owned();
    let version_4 = "0f7a5b1c-9d3e-4f60-8a1b-2c3d4e5f6071".to_owned();
    let questions = [
        ("another agent's message", &scene.carol, &alice, &known),
        ("a message of which only the sender is said to be another", &scene.bob, &String::new(), &known),
        ("an unknown message", &scene.alice, &String::new(), &unknown),
        ("an id that is cut", &scene.alice, &String::new(), &cut),
        ("an id of another version", &scene.alice, &String::new(), &version_4),
        ("a sender that is no agent", &scene.alice, &"alice".to_owned(), &known),
    ];
    let cases = questions.into_iter().flat_map(|(name, session, sender, message_id)| {
        let (sender, message_id) = (sender.clone(), message_id.clone());
        let status = v1::GetStatusRequest { sender: sender.clone(), message_id: message_id.clone() };
        let body = v1::GetBodyRequest { sender, message_id, offset: 0 };
        [case(format!("status of {name}"), session, status), case(format!("body of {name}"), session, body)]
    });
    insta::assert_snapshot!(scene.refusals(cases).await);
}
