//! TLS from two PEM files.

use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
};

use crate::TlsConfig;

/// Why there is no TLS.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{}: {}", path.display(), pem_fault(source, expected))]
    Pem {
        /// The file.
        path: std::path::PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// Certificate and key do not work together.
    #[error("the TLS certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

const CERTIFICATE: &str = "a PEM certificate chain, the server's own first (-----BEGIN CERTIFICATE-----)";
const KEY: &str = "a PEM private key without a passphrase (-----BEGIN PRIVATE KEY-----)";

fn pem_fault(error: &pem::Error, expected: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("there is none in this file; expected {expected}"),
        pem::Error::Io(error) => error.to_string(),
        error => format!("{error}; expected {expected}"),
    }
}

/// Reads certificate and key, and offers HTTP/2 and HTTP/1.1.
pub(crate) fn tls_acceptor(config: &TlsConfig) -> Result<TlsAcceptor, TlsError> {
    let certificate_error = |source| TlsError::Pem { path: config.certificate.clone(), expected: CERTIFICATE, source };
    let chain = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(certificate_error)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|source| TlsError::Pem {
        path: config.key.clone(),
        expected: KEY,
        source,
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}
