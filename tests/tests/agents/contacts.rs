//! Names of other agents.

use sealpost_tests::SdkAgent;

#[tokio::test]
async fn a_name_is_remembered_whoever_of_several_is_first() {
    let alice = SdkAgent::unpublished("http://127.0.0.1:1").await;
    let copies = [alice.reopen("http://127.0.0.1:1").await, alice.reopen("http://127.0.0.1:1").await];
    let id = copies[0].id();
    for round in 0..20 {
        let name = format!("bob{round}");
        let (one, other) = tokio::join!(copies[0].set_contact(&name, id), copies[1].set_contact(&name, id));
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    }
}
