//! Wiring: from a configuration to a relay that serves, and back to a relay that has stopped.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use sealpost_core::{Ports, Services, Uptime, ports::BackendError};
use sealpost_protocol::{Clock, LedgerId, NodeId, Signer};
use sealpost_storage::{Embedded, OpenContentsError, OpenDataDirectoryError};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::{
    app::App,
    authentication::{Authenticator, own_origins},
    config::{Config, ConfigError},
    jobs,
    ledger_identity::{self, LedgerIdentityError},
    limits,
    node_keys::NodeKeys,
    operators::Operations,
    system_clock::SystemClock,
    tasks::Tasks,
    transport::{self, TlsError},
};

/// A relay that serves.
pub struct Relay {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    node_id: NodeId,
    ledger_id: LedgerId,
    tasks: Tasks,
}

/// Why a relay did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory is a folder with something else in it, which a relay would mix its own with.
    #[error(
        "{} is not empty, and no relay's data folder: there is {} in it; name a folder that is missing or empty, or one that a \
         relay has made", folder.display(), entry.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// What shows it.
        entry: PathBuf,
    },
    /// The data directory cannot be read.
    #[error("cannot read {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Storage(#[from] OpenDataDirectoryError),
    /// The contents cannot be opened.
    #[error(transparent)]
    Contents(#[from] OpenContentsError),
    /// The store cannot be read.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The node's keys cannot be had, or do not go with the ledger.
    #[error(transparent)]
    Identity(#[from] LedgerIdentityError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be served on.
    #[error("cannot listen on {address}: {source}{}", listen_advice(source, option))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The command's option that names it.
        option: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// What can be done about it.
fn listen_advice(error: &io::Error, option: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "; another program listens there, perhaps another relay: stop it, or take another address with {option} \
             (port 0 takes a free one)"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("; this machine has no such address: take one of its own with {option}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("; ports below 1024 may need a privilege: take a higher one with {option}")
        }
        _ => String::new(),
    }
}

impl Relay {
    /// Takes the port, opens the store and serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with_clock(config, Arc::new(SystemClock)).await
    }

    /// As [`Relay::start`], with a clock to tell the time of tokens and messages by.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        config.check()?;
        check_folder(&config.data_dir)?;
        let tls = config.tls.as_ref().map(transport::tls_acceptor).transpose()?;
        // Nothing is made for a relay that cannot serve.
        let (listener, address) = listen(config.listen, "--listen").await?;
        let operators = match config.admin_listen {
            Some(address) => Some(listen(address, "--admin-listen").await?),
            None => None,
        };
        let storage = Embedded::open(&config.data_dir)?;
        let restored = config.restored.then(|| clock.now());
        let (keys, ledger_id) = ledger_identity::establish(&storage, &config.data_dir, restored).await?;
        let keys = Arc::new(keys);
        let contents = storage.open_contents(keys.clone(), clock.clone()).await?;
        let admin_address = operators.as_ref().map(|(_, address)| *address);

        let origins = config.parsed_origins()?.into_iter().chain(own_origins(address, tls.is_some())).collect();
        let node_id = keys.node_id();
        let authenticator = Authenticator::new(Arc::clone(&keys), ledger_id, clock.clone(), origins);
        let services = Services::new(Ports {
            ledger: storage.ledger(),
            contents: contents.clone(),
            prekeys: storage.prekeys(),
            revocations: storage.revocations(),
            clock: clock.clone(),
            monotonic: Arc::new(Uptime::default()),
            node: keys as Arc<dyn Signer + Send + Sync>,
        });
        // A token outlives the process that issued it, and so does its end.
        let recent = clock.now().saturating_sub(limits::REVOKED_REMEMBERED);
        authenticator.end_tokens(services.revoking.since(recent).await?);
        let tasks = Tasks::default();
        let mut app = App::new(services, authenticator, clock, tasks.clone());
        app.echoes = config.echo;
        let app = Arc::new(app);
        let operations = Operations::new(contents);
        tasks.spawn(jobs::collect_orphans(operations.clone(), tasks.clone()));
        if let Some((listener, address)) = operators {
            tasks.spawn(transport::serve_operators(listener, operations, tasks.clone()));
            tracing::info!(%address, "operators are served");
        }
        tasks.spawn(jobs::sweep_expired(Arc::clone(&app)));
        tasks.spawn(jobs::watch_readiness(Arc::clone(&app)));
        tasks.spawn(transport::serve(listener, tls, app));
        tracing::info!(%address, node = %node_id, ledger = %ledger_id, data_dir = %config.data_dir.display(), "relay started");
        Ok(Self { address, admin_address, node_id, ledger_id, tasks })
    }

    /// The address it serves on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the operators' endpoint, if there is one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The node's name, by which agents pin it.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The life of its ledger, by which agents know whether their numbers still hold.
    #[must_use]
    pub fn ledger_id(&self) -> LedgerId {
        self.ledger_id
    }

    /// Takes no new requests, lets open ones end for a while, and closes the store.
    pub async fn stop(self) {
        self.tasks.stop().await;
        tracing::info!("relay stopped");
    }
}

fn check_folder(folder: &Path) -> Result<(), StartError> {
    let foreign = Embedded::foreign_in(folder, &[NodeKeys::FILE_NAME, NodeKeys::UNFINISHED]);
    match foreign.map_err(|source| StartError::Folder { folder: folder.to_owned(), source })? {
        Some(entry) => Err(StartError::Foreign { folder: folder.to_owned(), entry }),
        None => Ok(()),
    }
}

async fn listen(address: SocketAddr, option: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, option, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
