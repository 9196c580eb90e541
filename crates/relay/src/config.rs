//! The relay's configuration: a TOML file, each key optional, unknown keys refused.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use sealpost_api::{NotAnOrigin, Origin};
use serde::Deserialize;
use thiserror::Error;

/// What a relay is started with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept; made if missing.
    pub data_dir: PathBuf,
    /// The address to serve on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Further origins (`scheme://host`, and `:port` unless it is the scheme's own) under which clients reach this relay: its public name, or a proxy's. A proxy
    /// must pass each client's connection on as one of its own: what a connection has proven, whoever uses it may do.
    pub origins: Vec<String>,
    /// The address of the operators' endpoint, on loopback; none unless it is given. Port 0 takes a free one.
    pub admin_listen: Option<SocketAddr>,
    /// Serve TLS with these files.
    pub tls: Option<TlsConfig>,
    /// Serve other than loopback without TLS. For networks that encrypt by themselves.
    pub allow_plaintext: bool,
    /// The data directory was put back from a copy by hand: its ledger begins another life. Said once, where the relay is
    /// started; a file would say it at every start.
    #[serde(skip)]
    pub restored: bool,
    /// Serve a bare gRPC echo beside the services: what a call costs at least, for a benchmark to compare with. No
    /// configuration can ask for it.
    #[serde(skip)]
    pub echo: bool,
}

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("relay"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7117)),
            origins: Vec::new(),
            admin_listen: None,
            tls: None,
            allow_plaintext: false,
            restored: false,
            echo: false,
        }
    }
}

/// Why there is no usable configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is not such TOML.
    #[error("{path}: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// An origin is not of the form it should have.
    #[error("{text:?}: {source}")]
    Origin {
        /// What is configured.
        text: String,
        /// What it should be.
        source: NotAnOrigin,
    },
    /// The address is open to others and there is no TLS.
    #[error(
        "refusing to serve {0} without TLS: configure [tls], or allow it by --allow-plaintext (allow_plaintext = true)"
    )]
    Plaintext(SocketAddr),
    /// The operators' endpoint would be open to others.
    #[error("refusing to serve operators on {0}: whoever reaches their endpoint may use it, so it stays on loopback")]
    OpenAdmin(SocketAddr),
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Io`], [`ConfigError::Toml`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Toml { path: path.to_owned(), source: Box::new(source) })
    }

    /// Checks what the file's form cannot say.
    ///
    /// # Errors
    /// [`ConfigError::Origin`], [`ConfigError::Plaintext`], [`ConfigError::OpenAdmin`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().is_loopback() && self.tls.is_none() && !self.allow_plaintext {
            return Err(ConfigError::Plaintext(self.listen));
        }
        if let Some(open) = self.admin_listen.filter(|address| !address.ip().is_loopback()) {
            return Err(ConfigError::OpenAdmin(open));
        }
        self.parsed_origins().map(drop)
    }

    /// The further origins, each written in one way.
    pub(crate) fn parsed_origins(&self) -> Result<Vec<Origin>, ConfigError> {
        let parse = |text: &String| text.parse().map_err(|source| ConfigError::Origin { text: text.clone(), source });
        self.origins.iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealpost.toml");
        fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn every_key_is_read() {
        let config = read(
            r#"
            data_dir = "/var/lib/sealpost"
            listen = "0.0.0.0:443"
            origins = ["https://post.example:443"]
            allow_plaintext = true
            admin_listen = "127.0.0.1:7118"
            [tls]
            certificate = "cert.pem"
            key = "key.pem"
            "#,
        )
        .unwrap();
        assert!(config.check().is_ok());
        assert_eq!(config.tls.unwrap().key, PathBuf::from("key.pem"));
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        for text in
            ["restored = true", "liste = \"127.0.0.1:1\"", "[tls]\ncertificate = \"a\"\nkey = \"b\"\ncipher = \"c\""]
        {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("restored") || error.contains("liste") || error.contains("cipher"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_told_by_what_is_wrong_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealpost.toml");
        assert!(matches!(Config::read(&path), Err(ConfigError::Io { path: of, .. }) if of == path));
        fs::write(&path, [0xff]).unwrap();
        assert!(matches!(Config::read(&path), Err(ConfigError::Io { .. })), "no text");
        let wrong = [
            "listen =",
            "listen = 7117",
            "listen = \"localhost\"",
            "listen = \"127.0.0.1:99999\"",
            "allow_plaintext = \"yes\"",
            "origins = \"https://post.example\"",
            "[tls]\ncertificate = \"a\"",
            "data_dir = \"a\"\ndata_dir = \"b\"",
        ];
        for text in wrong {
            fs::write(&path, text).unwrap();
            let error = Config::read(&path).unwrap_err();
            assert!(matches!(error, ConfigError::Toml { .. }), "{text}: {error:?}");
        }
    }

    #[test]
    fn an_open_address_without_tls_is_refused_unless_allowed_by_name() {
        let open = Config { listen: "0.0.0.0:7117".parse().unwrap(), ..Config::default() };
        assert!(matches!(open.check(), Err(ConfigError::Plaintext(_))));
        assert!(Config { allow_plaintext: true, ..open }.check().is_ok());
    }

    #[test]
    fn operators_are_served_on_loopback_only() {
        let config = |address: &str| Config { admin_listen: Some(address.parse().unwrap()), ..Config::default() };
        assert!(config("127.0.0.1:0").check().is_ok() && config("[::1]:7118").check().is_ok());
        assert!(matches!(config("0.0.0.0:7118").check(), Err(ConfigError::OpenAdmin(_))));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for bad in ["post.example", "ftp://post.example", "https://post.example/path", "https://a@b:1", "https://a:1/"]
        {
            let config = Config { origins: vec![bad.to_owned()], ..Config::default() };
            assert!(matches!(config.check(), Err(ConfigError::Origin { .. })), "{bad}");
        }
    }
}
