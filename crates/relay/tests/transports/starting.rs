//! What keeps a relay from starting is named.

use sealpost_relay::{Config, ConfigError, Relay, StartError};

use super::test_relay::{TestRelay, config};

async fn error(config: Config) -> StartError {
    match Relay::start(config).await {
        Err(error) => error,
        Ok(_) => panic!("it serves"),
    }
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let (relay, folder) = (TestRelay::start().await, tempfile::tempdir().unwrap());
    let error = error(Config { listen: relay.relay.address(), ..config(&folder) }).await;
    assert!(matches!(error, StartError::Listen { address, .. } if address == relay.relay.address()), "{error}");
    assert!(error.to_string().contains(&relay.relay.address().to_string()), "{error}");
}

#[tokio::test]
async fn a_data_directory_that_another_relay_uses() {
    let relay = TestRelay::start().await;
    let error = error(config(&relay.data_dir)).await;
    assert!(matches!(error, StartError::Storage(_)), "{error}");
}

#[tokio::test]
async fn an_address_open_to_others_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let error = error(Config { listen: "0.0.0.0:0".parse().unwrap(), ..config(&folder) }).await;
    assert!(matches!(error, StartError::Config(ConfigError::Plaintext(_))), "{error}");
}
