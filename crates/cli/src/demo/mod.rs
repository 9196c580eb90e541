//! `sealpost demo`: the whole main job, told step by step, on a real relay process, real agents and real sockets.
//!
//! Between the agents and the relay stands a proxy that can do what a hostile network can. Every step checks what it
//! tells; the first that fails ends the story with a non-zero exit code.

mod at_rest;
mod bodies;
mod proxy;
mod relay_process;
mod schemes;
mod stage;
mod steps;

use std::time::Instant;

use serde::Serialize;

use self::{stage::Stage, steps::Step};
use crate::{failure::Failure, output};

#[derive(Serialize)]
struct Told {
    ok: bool,
    steps: Vec<StepResult>,
}

#[derive(Serialize)]
struct StepResult {
    name: &'static str,
    ok: bool,
    ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Tells the story.
pub(crate) async fn run(json: bool) -> Result<(), Failure> {
    let begun = Instant::now();
    let steps = match Stage::set().await {
        Ok(stage) => play(stage, json).await?,
        Err(error) => {
            say(json, &format!("The stage could not be set: {error}"))?;
            vec![StepResult::new("stage", begun, Err(error))]
        }
    };
    let told = Told { ok: steps.iter().all(|step| step.ok), steps };
    if json {
        output::print(true, &told, String::new)?;
    } else if told.ok {
        let count = told.steps.len();
        say(
            false,
            &format!("\nAll {count} steps hold. Try it yourself: sealpost serve, sealpost agent new, sealpost send."),
        )?;
    }
    if told.ok { Ok(()) } else { Err(Failure::other("a step of the demo failed")) }
}

/// Plays the steps up to the first that fails.
async fn play(mut stage: Stage, json: bool) -> Result<Vec<StepResult>, Failure> {
    say(json, &format!("A relay runs at {}, in a process and a folder of its own.", stage.relay_origin()))?;
    say(json, "Alice and Bob reach it through a proxy that can hold back, reorder, repeat and alter what passes.\n")?;
    let mut steps = Vec::new();
    for step in Step::ALL {
        let begun = Instant::now();
        let result = StepResult::new(step.name(), begun, step.play(&mut stage).await);
        let mark = if result.ok { "ok" } else { "FAILED" };
        say(json, &format!("{mark:>6}  {:<28} {:>5} ms  {}", result.name, result.ms, step.story()))?;
        if let Some(error) = &result.error {
            say(json, &format!("        {error}"))?;
        }
        let is_last = !result.ok;
        steps.push(result);
        if is_last {
            break;
        }
    }
    stage.strike().await;
    Ok(steps)
}

impl StepResult {
    fn new(name: &'static str, begun: Instant, result: Result<(), String>) -> Self {
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { name, ok: result.is_ok(), ms, error: result.err() }
    }
}

/// The story is for people: with `--json` only its result is printed.
fn say(json: bool, line: &str) -> Result<(), Failure> {
    if json { Ok(()) } else { output::print_bytes(format!("{line}\n").as_bytes()) }
}
