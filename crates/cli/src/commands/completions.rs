//! `sealpost completions`: a script for a shell.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{arguments::Arguments, failure::Failure};

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    clap_complete::generate(shell, &mut Arguments::command(), "sealpost", &mut io::stdout());
    Ok(())
}
