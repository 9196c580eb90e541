//! The `sealpost` command: the relay, the agents, and a demonstration of both.
//!
//! Results go to standard output, everything else to standard error. With `--json`, a result is one JSON document, or one
//! per line where there are many. Exit codes are in [`failure::ExitCode`].

mod arguments;
mod commands;
mod demo;
mod events;
mod failure;
mod home;
mod interrupts;
mod key_files;
mod limits;
mod output;
mod progress;
mod saving;

use std::{
    env,
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::{
    CommandFactory, Parser,
    error::{ContextKind, ContextValue},
};

use crate::{
    arguments::{AgentCommand, Arguments, Command},
    failure::Failure,
};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(with_usage(error)),
    };
    let json = arguments.json;
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(format!("no runtime: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(run(arguments));
            // A thread may wait for another process of the agent, or for standard input: nobody waits for it any more.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure, json),
    }
}

fn end(failure: &Failure, json: bool) -> ExitCode {
    failure.report(json);
    failure.code().into()
}

/// The error with the whole usage of its command. The library shows of it only what was given, by variables too.
fn with_usage(mut error: clap::Error) -> clap::Error {
    let mut command = Arguments::command();
    command.build();
    for argument in env::args_os().skip(1) {
        if let Some(named) = command.find_subcommand(&argument).cloned() {
            command = named;
        }
    }
    error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    error
}

/// A command line that asks for help, or that is not understood; the latter is told in the form that was asked for.
fn not_parsed(error: clap::Error) -> ExitCode {
    let is_answer = !error.use_stderr();
    let json = env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json");
    let text = error.render();
    let failure = if is_answer {
        let text = if io::stdout().is_terminal() { text.ansi().to_string() } else { text.to_string() };
        match output::print_bytes(text.as_bytes()) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(failure) => failure,
        }
    } else if json {
        Failure::usage(text.to_string().trim().trim_start_matches("error: "))
    } else {
        output::say_as_it_is(&if io::stderr().is_terminal() { text.ansi().to_string() } else { text.to_string() });
        return failure::ExitCode::Usage.into();
    };
    end(&failure, json)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    output::start_log(&arguments.command, arguments.json)?;
    let context = home::Context::new(&arguments)?;
    match told_if_interrupted(&arguments.command) {
        Some(told) => interrupts::unless_interrupted(told, answer(&context, arguments.command)).await,
        None => answer(&context, arguments.command).await,
    }
}

/// What it means that a command is interrupted; nothing of those that say so themselves.
fn told_if_interrupted(command: &Command) -> Option<&'static str> {
    match command {
        Command::Receive(receive) if !receive.follow => Some("what was not shown is not lost: `receive` again goes on"),
        Command::Group(_) => Some("a change that was made stays, and the members hear of it with a later command"),
        Command::Prekeys(_) => Some("keys that were made are published by the next command that reaches the relay"),
        Command::Agent(AgentCommand::New { .. } | AgentCommand::Import { .. }) => None,
        Command::Agent(AgentCommand::Delegate(_)) => Some("`agent delegations` lists what was made"),
        Command::Agent(AgentCommand::Revoke(_)) => {
            Some("what is revoked here already is told to the relay by the next command that reaches it")
        }
        Command::Agent(_) => Some("what was begun is finished, or taken back, by the next command of the agent"),
        Command::Status(_) | Command::Mark(_) | Command::Outbox(_) | Command::Policy(_) | Command::Delegation(_) => {
            Some("ask again")
        }
        _ => None,
    }
}

async fn answer(context: &home::Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => commands::serve::run(context, serve).await,
        Command::Demo => demo::run(context.json).await,
        Command::Agent(agent) => commands::agent::run(context, agent).await,
        Command::Send(send) => commands::send::run(context, send).await,
        Command::Receive(receive) => commands::receive::run(context, receive).await,
        Command::Status(status) => commands::status::run(context, status).await,
        Command::Mark(mark) => commands::mark::run(context, mark).await,
        Command::Outbox(outbox) => commands::outbox::run(context, outbox).await,
        Command::Group(group) => commands::group::run(context, group).await,
        Command::Policy(policy) => commands::policy::run(context, policy).await,
        Command::Prekeys(prekeys) => commands::prekeys::run(context, prekeys).await,
        Command::Delegation(delegation) => commands::delegation::run(context, delegation).await,
        Command::Bench(bench) => commands::bench::run(context, bench).await,
        Command::Blocks(blocks) => commands::blocks::run(context, blocks).await,
        Command::Backup(backup) => commands::backup::back_up(context, backup).await,
        Command::Restore(restore) => commands::backup::restore(context, restore).await,
        Command::Completions { shell } => commands::completions::run(shell),
    }
}
