//! A relay in a process of its own, which can be killed.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::limits;

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A running relay. Dropping it kills the process.
pub(super) struct RelayProcess {
    child: Child,
    /// Where it listens, `host:port`.
    pub(super) address: String,
}

/// What `serve --json` prints first.
#[derive(Deserialize)]
struct Started {
    address: String,
}

impl RelayProcess {
    /// Starts this very program as a relay.
    pub(super) async fn start(data_dir: &Path, listen: &str, origin: &str) -> Result<Self, String> {
        let program: PathBuf = env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
        let mut child = Command::new(program)
            .args(["serve", "--json", "--until-input-ends", "--listen", listen, "--origin", origin, "--data-dir"])
            .arg(data_dir)
            .env("RUST_LOG", "error")
            .env_remove("SEALPOST_CONFIG")
            // Held as long as this process lives: killed without warning, it leaves no relay behind.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("the relay does not start: {error}"))?;
        let out = child.stdout.take().ok_or("the relay has no output")?;
        let mut line = String::new();
        let read = timeout(limits::DEMO_RELAY_START, BufReader::new(out).read_line(&mut line)).await;
        read.map_err(|_| "the relay does not start in time")?
            .map_err(|error| format!("the relay's output: {error}"))?;
        let started: Started =
            serde_json::from_str(&line).map_err(|error| format!("the relay did not start: {error}"))?;
        Ok(Self { child, address: started.address })
    }

    /// Ends the process without warning, as a power cut would.
    pub(super) async fn kill(mut self) -> Result<(), String> {
        self.child.kill().await.map_err(|error| format!("the relay is not to be killed: {error}"))
    }

    /// Asks the process to end and waits for it; one that does not is killed when dropped.
    pub(super) async fn stop(mut self) {
        if let Some(id) = self.child.id() {
            let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
            if asked.is_ok_and(|status| status.success()) {
                let _ = timeout(limits::DEMO_RELAY_STOP, self.child.wait()).await;
            }
        }
    }
}
