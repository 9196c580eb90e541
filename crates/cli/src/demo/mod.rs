//! `sealpost demo`: the whole main job, told step by step, on a real relay process, real agents and real sockets.
//!
//! Between the agents and the relay stands a proxy that can do what a hostile network can. Every step checks what it
//! tells; the first that fails ends the story with a non-zero exit code.

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
    let mut stage = Stage::set().await.map_err(Failure::other)?;
    say(json, &format!("A relay runs at {}, in a process and a folder of its own.", stage.relay_origin()))?;
    say(json, "Alice and Bob reach it through a proxy that can hold back, reorder, repeat and alter what passes.\n")?;
    let mut told = Told { ok: true, steps: Vec::new() };
    for step in Step::ALL {
        let begun = Instant::now();
        let result = step.play(&mut stage).await;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mark = if result.is_ok() { "ok" } else { "FAILED" };
        say(json, &format!("{mark:>6}  {:<28} {ms:>5} ms  {}", step.name(), step.story()))?;
        let error = result.err();
        if let Some(error) = &error {
            say(json, &format!("        {error}"))?;
        }
        told.ok &= error.is_none();
        told.steps.push(StepResult { name: step.name(), ok: error.is_none(), ms, error });
        if !told.ok {
            break;
        }
    }
    stage.strike().await;
    let (ok, count) = (told.ok, told.steps.len());
    if json {
        output::print(true, &told, String::new)?;
    } else if ok {
        say(
            false,
            &format!("\nAll {count} steps hold. Try it yourself: sealpost serve, sealpost agent new, sealpost send."),
        )?;
    }
    if ok { Ok(()) } else { Err(Failure::other("a step of the demo failed")) }
}

/// The story is for people: with `--json` only its result is printed.
fn say(json: bool, line: &str) -> Result<(), Failure> {
    if json { Ok(()) } else { output::print_bytes(format!("{line}\n").as_bytes()) }
}
