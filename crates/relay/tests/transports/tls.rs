//! Serving TLS: which HTTP is spoken, and what is said of certificates that cannot be used.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use sealpost_api::v1::{self, authentication_client::AuthenticationClient};
use sealpost_relay::{Config, Relay, StartError, TlsConfig, TlsError};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName},
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use super::test_relay::config;

/// A certificate for `localhost`, its key, and a folder for both and for the relay.
struct Files {
    folder: TempDir,
    certified: CertifiedKey<KeyPair>,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            certified: generate_simple_self_signed(["localhost".to_owned()]).unwrap(),
        };
        fs::write(files.path("cert.pem"), files.certified.cert.pem()).unwrap();
        fs::write(files.path("key.pem"), files.certified.signing_key.serialize_pem()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn start(&self, certificate: &str, key: &str) -> Result<Relay, StartError> {
        let tls = TlsConfig { certificate: self.path(certificate), key: self.path(key) };
        Relay::start(Config { tls: Some(tls), data_dir: self.path("data"), ..config(&self.folder) }).await
    }

    /// The refusal to start with these files.
    async fn error(&self, certificate: &str, key: &str) -> TlsError {
        match self.start(certificate, key).await {
            Err(StartError::Tls(error)) => error,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it serves"),
        }
    }

    /// Connects, offering these protocols.
    async fn connect(&self, relay: &Relay, offered: &[&str]) -> TlsStream<TcpStream> {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.certified.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(trusted);
        let mut client = client.with_no_client_auth();
        client.alpn_protocols = offered.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(relay.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap()
    }
}

#[tokio::test]
async fn the_protocol_is_agreed_on_by_alpn() {
    let files = Files::new();
    let relay = files.start("cert.pem", "key.pem").await.unwrap();
    for (offered, agreed) in [
        (&["h2"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&[], None),
    ] {
        let stream = files.connect(&relay, offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
    }
}

#[tokio::test]
async fn grpc_is_served_over_h2_and_rest_over_http_1() {
    let files = Files::new();
    let relay = files.start("cert.pem", "key.pem").await.unwrap();
    let address = format!("https://localhost:{}", relay.address().port());

    let trusted = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(files.certified.cert.pem()));
    let channel = Channel::from_shared(address).unwrap().tls_config(trusted).unwrap().connect().await.unwrap();
    let challenge = AuthenticationClient::new(channel)
        .challenge(v1::ChallengeRequest { nonce: vec![7; 32] })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(challenge.node_id, relay.node_id().to_string());

    let mut stream = files.connect(&relay, &["http/1.1"]).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn whoever_speaks_plain_http_gets_no_answer() {
    let files = Files::new();
    let relay = files.start("cert.pem", "key.pem").await.unwrap();
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _end = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let files = Files::new();
    fs::write(files.path("empty.pem"), "").unwrap();
    fs::write(files.path("noise.pem"), [0xff; 100]).unwrap();
    let pem_error_at = |error: TlsError, name: &str| {
        assert!(matches!(&error, TlsError::Pem { path, .. } if *path == files.path(name)), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    };
    let no_certificate = files.error("key.pem", "key.pem").await.to_string();
    assert!(no_certificate.contains("BEGIN CERTIFICATE"), "{no_certificate}");
    let no_key = files.error("cert.pem", "cert.pem").await.to_string();
    assert!(no_key.contains("BEGIN PRIVATE KEY"), "{no_key}");
    pem_error_at(files.error("missing.pem", "key.pem").await, "missing.pem");
    pem_error_at(files.error("cert.pem", "missing.pem").await, "missing.pem");
    pem_error_at(files.error("cert.pem", "empty.pem").await, "empty.pem");
    pem_error_at(files.error("cert.pem", "noise.pem").await, "noise.pem");
    pem_error_at(files.error("cert.pem", "cert.pem").await, "cert.pem");
    pem_error_at(files.error("empty.pem", "key.pem").await, "empty.pem");
    pem_error_at(files.error("key.pem", "key.pem").await, "key.pem");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused() {
    let (files, other) = (Files::new(), Files::new());
    fs::copy(other.path("key.pem"), files.path("other.pem")).unwrap();
    let error = files.error("cert.pem", "other.pem").await;
    assert!(matches!(error, TlsError::Unusable(_)), "{error}");
}
