//! The `sealpost` command as a script uses it: arguments, exit code, standard output and standard error.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::{PATIENCE, sealpost_binary, within, within_time};

/// What would change how the command behaves, were it set around the tests.
const VARIABLES: [&str; 6] = [
    "SEALPOST_AGENT",
    "SEALPOST_PASSPHRASE",
    "SEALPOST_PASSPHRASE_FILE",
    "SEALPOST_CERTIFICATES",
    "SEALPOST_CONFIG",
    "RUST_LOG",
];

/// A folder of agents and the relay that they use. Clones share the folder.
#[derive(Debug, Clone)]
pub struct Home {
    folder: Arc<TempDir>,
    relay: String,
    variables: Vec<(String, OsString)>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// What it was.
    pub command: String,
    /// The exit code.
    pub exit: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Which of a command's streams lead nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullStreams {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
    /// Standard output and standard error.
    Both,
}

/// A command that goes on. Dropping it kills the process.
#[derive(Debug)]
pub struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A command that was killed, or had ended by itself just before.
#[derive(Debug)]
pub struct Killed {
    /// Whether it was still at work.
    pub was_interrupted: bool,
    /// What it had printed and nobody had read.
    pub documents: Vec<Value>,
}

impl Home {
    /// An empty folder, and the relay at `origin`.
    ///
    /// # Panics
    /// When there is no folder to be had.
    #[must_use]
    pub fn new(origin: impl Into<String>) -> Self {
        Self { folder: Arc::new(tempfile::tempdir().unwrap()), relay: origin.into(), variables: Vec::new() }
    }

    /// The same with an environment variable set.
    #[must_use]
    pub fn with(&self, variable: &str, value: impl Into<OsString>) -> Self {
        let mut home = self.clone();
        home.variables.push((variable.to_owned(), value.into()));
        home
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes an agent and returns its id.
    ///
    /// # Panics
    /// When that fails.
    pub async fn agent(&self, name: &str) -> String {
        let made = self.run(["agent", "new", name, "--json"]).await.succeeded();
        made.document()["id"].as_str().expect("an agent has an id").to_owned()
    }

    /// Runs a command to its end.
    pub async fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.run_with_input(arguments, &[]).await
    }

    /// Runs a command that may take as long as `patience` to its end.
    pub async fn run_for<A: AsRef<OsStr>>(
        &self,
        patience: Duration,
        arguments: impl IntoIterator<Item = A>,
    ) -> Finished {
        self.finish(patience, arguments, &[]).await
    }

    /// Runs a command to its end, with `input` on standard input.
    ///
    /// # Panics
    /// When it does not end in time, or prints something that is not text.
    pub async fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Finished {
        self.finish(PATIENCE, arguments, input).await
    }

    async fn finish<A: AsRef<OsStr>>(
        &self,
        patience: Duration,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Finished {
        let mut command = self.command(arguments);
        let name = format!("{:?}", command.as_std());
        let mut process = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let writing = async {
            // A command that does not read its input to the end closes it: that is its right.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        let ended = async { tokio::join!(process.wait_with_output(), writing) };
        let (output, ()) = within_time(patience, &name, ended).await;
        let output = output.unwrap();
        Finished {
            exit: output.status.code().unwrap_or_else(|| panic!("{name} was ended by a signal: {:?}", output.status)),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            command: name,
        }
    }

    /// Runs a command to its end, with standard output or standard error (or both) on a device that takes nothing.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run_on_a_full_device<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        streams: FullStreams,
    ) -> Finished {
        let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let results = if streams == FullStreams::Errors { Stdio::piped() } else { full() };
        let errors = if streams == FullStreams::Output { Stdio::piped() } else { full() };
        self.run_into(arguments, results, errors).await
    }

    /// Runs a command to its end, with nobody at the other end of standard output.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run_unread<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.run_into(arguments, writer.into(), Stdio::piped()).await
    }

    /// Runs a command to its end, with standard output closed.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run_closed<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.run_by_shell("exec \"$0\" \"$@\" >&-", arguments).await
    }

    /// Runs a command to its end, with standard error closed.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run_with_errors_closed<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.run_by_shell("exec \"$0\" \"$@\" 2>&-", arguments).await
    }

    /// Runs a command to its end, with nobody at the other end of standard error.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run_with_errors_unread<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.run_into(arguments, Stdio::piped(), writer.into()).await
    }

    /// Runs a command to its end, where no file can be written to: its file system is full.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run_on_a_full_disk<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.run_by_shell("trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", arguments).await
    }

    async fn run_by_shell<A: AsRef<OsStr>>(&self, script: &str, arguments: impl IntoIterator<Item = A>) -> Finished {
        let (plain, mut shell) = (self.command(arguments), Command::new("sh"));
        let plain = plain.as_std();
        shell.args(["-c", script]).arg(plain.get_program()).args(plain.get_args());
        for (variable, value) in plain.get_envs() {
            match value {
                Some(value) => shell.env(variable, value),
                None => shell.env_remove(variable),
            };
        }
        Self::end(shell, Stdio::null(), Stdio::piped()).await
    }

    async fn run_into<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        results: Stdio,
        errors: Stdio,
    ) -> Finished {
        Self::end(self.command(arguments), results, errors).await
    }

    async fn end(mut command: Command, results: Stdio, errors: Stdio) -> Finished {
        let name = format!("{:?}", command.as_std());
        let process = command.stdin(Stdio::null()).stdout(results).stderr(errors).spawn().unwrap();
        drop(command);
        let output = within(&name, process.wait_with_output()).await.unwrap();
        Finished {
            exit: output.status.code().unwrap_or_else(|| panic!("{name} was ended by a signal: {:?}", output.status)),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            command: name,
        }
    }

    /// Starts a command.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        self.start_telling(arguments, Stdio::null())
    }

    /// Starts a command whose standard error is read once it has ended.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_heard<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        self.start_telling(arguments, Stdio::piped())
    }

    fn start_telling<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, errors: Stdio) -> Running {
        let mut command = self.command(arguments);
        let mut process = command.stdin(Stdio::null()).stderr(errors).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Running { process, lines }
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(sealpost_binary());
        command.args(arguments).env("SEALPOST_HOME", self.path()).env("SEALPOST_RELAY", &self.relay);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Finished {
    /// Itself, if the command did what it should.
    ///
    /// # Panics
    /// When the exit code is not 0.
    pub fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// Itself, if the exit code is this.
    ///
    /// # Panics
    /// When it is another.
    pub fn exited(self, exit: i32) -> Self {
        assert_eq!(self.exit, exit, "exit code of {}\nout: {}\nerr: {}", self.command, self.out, self.err);
        self
    }

    /// Standard output as one JSON document on one line.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut documents = self.documents();
        assert_eq!(documents.len(), 1, "documents of {}: {documents:?}\nerr: {}", self.command, self.err);
        documents.remove(0)
    }

    /// Standard output as JSON documents, one per line.
    ///
    /// # Panics
    /// When a line is none.
    #[must_use]
    pub fn documents(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", self.command));
        self.out.lines().map(parse).collect()
    }
}

impl Running {
    /// The next document it prints; `None` once it has ended.
    ///
    /// # Panics
    /// When there is none in time, or something else.
    pub async fn next_document(&mut self) -> Option<Value> {
        let line = within("the command's next line", self.lines.next_line()).await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// Lets it come to its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn wait(mut self) {
        within("the command's end", self.process.wait()).await.unwrap();
    }

    /// Interrupts the process as Ctrl-C does, and returns its exit code.
    ///
    /// # Panics
    /// When it does not end in time, or by the signal itself.
    pub async fn interrupt(mut self) -> i32 {
        self.signal("-INT").await;
        self.ended().await
    }

    /// Sends the process a signal, by its name for `kill`.
    ///
    /// # Panics
    /// When the process is gone.
    pub async fn signal(&mut self, signal: &str) {
        let id = self.process.id().expect("it goes on").to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    /// Waits for the process to end, and returns its exit code.
    ///
    /// # Panics
    /// When it does not end in time, or by a signal.
    pub async fn ended(&mut self) -> i32 {
        let status = within("the command's end", self.process.wait()).await.unwrap();
        status.code().unwrap_or_else(|| panic!("it was ended by a signal: {status:?}"))
    }

    /// Waits for the process to end, and returns its exit code and standard error.
    ///
    /// # Panics
    /// When it does not end in time, or by a signal, or nobody was to hear it.
    pub async fn ended_saying(mut self) -> (i32, String) {
        let mut errors = self.process.stderr.take().expect("it is heard");
        let mut said = String::new();
        within("the command's last words", errors.read_to_string(&mut said)).await.unwrap();
        (self.ended().await, said)
    }

    /// Ends the process (`SIGKILL`), and returns when it is gone.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn kill(mut self) -> Killed {
        self.process.start_kill().unwrap();
        let status = within("the command's end", self.process.wait()).await.unwrap();
        let mut documents = Vec::new();
        while let Some(line) = within("the rest of its output", self.lines.next_line()).await.unwrap() {
            // The last line may have been cut.
            documents.extend(serde_json::from_str::<Value>(&line));
        }
        Killed { was_interrupted: status.code().is_none(), documents }
    }
}
