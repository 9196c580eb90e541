//! A relay in a process of its own, which can be killed and started again.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use sealpost_protocol::NodeId;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::Instant,
};

use crate::{PATIENCE, sealpost_binary, within};

const LOG: &str = "relay.log";
const BLOCKS: &str = "blocks";

/// A `sealpost serve` process with a data directory of its own. Dropping it kills the process; if the test fails, what it
/// logged is printed.
#[derive(Debug)]
pub struct TestRelay {
    process: Option<Child>,
    folder: TempDir,
    further_origins: Vec<String>,
    address: SocketAddr,
    node_id: NodeId,
}

/// What the relay says once it serves.
struct Started {
    process: Child,
    address: SocketAddr,
    node_id: NodeId,
}

impl TestRelay {
    /// A new relay on a free port.
    pub async fn start() -> Self {
        Self::start_behind(&[]).await
    }

    /// A new relay that is reached under these origins as well, those of proxies.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_behind(origins: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let further_origins: Vec<_> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let started = launch(&folder, free_port, &further_origins, &[]).await;
        let Started { process, address, node_id } = started.unwrap_or_else(|error| panic!("{error}"));
        Self { process: Some(process), folder, further_origins, address, node_id }
    }

    /// Where it listens, also while it is killed.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients reach it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its name.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Ends the process as a power cut would (`SIGKILL`), and returns when it is gone.
    ///
    /// # Panics
    /// When there is no process.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("the relay runs");
        within("the relay's end", process.kill()).await.unwrap();
    }

    /// Starts it again with its data, on its port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    /// As [`TestRelay::restart`], with further arguments.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart_with(&mut self, arguments: &[&str]) {
        assert!(self.process.is_none(), "the relay runs already");
        // While it was down, a connection of another process may have been given its port; it will not keep it for long.
        let deadline = Instant::now() + PATIENCE;
        let started = loop {
            match launch(&self.folder, self.address, &self.further_origins, arguments).await {
                Ok(started) => break started,
                Err(error) if error.contains("cannot listen") && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        (self.process, self.node_id) = (Some(started.process), started.node_id);
    }

    /// What it has logged so far, as JSON lines, in full detail.
    ///
    /// # Panics
    /// When the log cannot be read.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap()
    }

    /// Takes the ledger from the killed relay and leaves its key.
    ///
    /// # Panics
    /// While it runs.
    pub fn lose_ledger(&mut self) {
        assert!(self.process.is_none(), "the relay still runs");
        for file in self.ledger_files() {
            fs::remove_file(file).unwrap();
        }
    }

    /// A copy of the killed relay's ledger and of the blocks that belong to it.
    ///
    /// # Panics
    /// While it runs.
    #[must_use]
    pub fn copy_ledger(&self) -> TempDir {
        assert!(self.process.is_none(), "the relay still runs");
        let copy = tempfile::tempdir().unwrap();
        for file in self.ledger_files() {
            fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
        }
        copy_files(&self.blocks(), &copy.path().join(BLOCKS));
        copy
    }

    /// Puts a copy in the place of the killed relay's ledger and blocks.
    ///
    /// # Panics
    /// While it runs.
    pub fn put_back(&mut self, copy: &TempDir) {
        self.lose_ledger();
        fs::remove_dir_all(self.blocks()).unwrap();
        copy_files(&copy.path().join(BLOCKS), &self.blocks());
        for entry in fs::read_dir(copy.path()).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), self.data_dir().join(entry.file_name())).unwrap();
            }
        }
    }

    fn blocks(&self) -> PathBuf {
        self.data_dir().join(BLOCKS)
    }

    fn ledger_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data_dir()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("ledger.sqlite3")).collect()
    }

    /// Takes all its data from the killed relay: its next start makes another node.
    ///
    /// # Panics
    /// While it runs.
    pub fn lose_data(&mut self) {
        assert!(self.process.is_none(), "the relay still runs");
        fs::remove_dir_all(self.data_dir()).unwrap();
    }
}

/// Copies the files of a folder into a new one.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the log of the relay at {}:\n{}", self.address, self.log());
        }
    }
}

async fn launch(
    folder: &TempDir,
    listen: SocketAddr,
    further_origins: &[String],
    arguments: &[&str],
) -> Result<Started, String> {
    let log = File::options().create(true).append(true).open(folder.path().join(LOG)).unwrap();
    let mut command = Command::new(sealpost_binary());
    command.args(["serve", "--json", "--listen", &listen.to_string(), "--data-dir"]).arg(folder.path().join("data"));
    for origin in further_origins {
        command.args(["--origin", origin]);
    }
    command.args(arguments);
    command.env_remove("SEALPOST_CONFIG").env("RUST_LOG", "warn,sealpost=trace");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    within("the relay's first line", out.read_line(&mut line)).await.unwrap();
    let started: Value = serde_json::from_str(&line).map_err(|_| {
        let log = fs::read_to_string(folder.path().join(LOG)).unwrap_or_default();
        format!("the relay did not start; its log:\n{log}")
    })?;
    let field = |name: &str| started[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {line}")).to_owned();
    let address = field("address").parse().unwrap();
    let node_id = field("node_id").parse().unwrap();
    Ok(Started { process, address, node_id })
}
