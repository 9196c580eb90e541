//! The `sealpost` command on a terminal, as people use it: a pseudo-terminal of `script` (util-linux).

use std::{ffi::OsStr, process::Stdio};

use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStdout, Command},
};

use crate::{Home, within};

/// A command that goes on, and the terminal that it is on. Dropping it takes the terminal away, which ends the command.
#[derive(Debug)]
pub struct Terminal {
    process: Child,
    output: ChildStdout,
    shown: String,
}

impl Home {
    /// Starts a command on a terminal.
    ///
    /// # Panics
    /// When there is no `script`, or an argument that is no text.
    pub fn on_terminal<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Terminal {
        let command = self.command(arguments);
        let words = [command.as_std().get_program()].into_iter().chain(command.as_std().get_args());
        let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"))).collect();
        let line = format!("stty cols 100 rows 30; exec {}", words.join(" "));
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-f", "-c", &line, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm");
        for (name, value) in command.as_std().get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = script.spawn().expect("script, of util-linux, is installed");
        let output = process.stdout.take().unwrap();
        Terminal { process, output, shown: String::new() }
    }
}

impl Terminal {
    /// Waits until the terminal shows something, and returns all that it has shown.
    ///
    /// # Panics
    /// When it does not in time, or the command ends before.
    pub async fn shows(&mut self, words: &str) -> &str {
        while !self.shown.contains(words) {
            let mut bytes = [0; 4 << 10];
            let read = within(words, self.output.read(&mut bytes)).await.unwrap();
            assert!(read > 0, "the command ended before it showed {words:?}: {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        &self.shown
    }

    /// Waits for the command to end, and returns its exit code and all that was shown.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn ended(mut self) -> (i32, String) {
        let mut rest = Vec::new();
        within("the command's last words", self.output.read_to_end(&mut rest)).await.unwrap();
        let status = within("the command's end", self.process.wait()).await.unwrap();
        self.shown.push_str(&String::from_utf8_lossy(&rest));
        (status.code().expect("an exit code"), self.shown)
    }
}
