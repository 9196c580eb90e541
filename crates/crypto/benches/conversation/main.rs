//! What a message costs, beside vodozemac in the same run: `cargo bench -p sealpost-crypto`.
//!
//! Every row is measured in rounds that alternate between the two libraries, so that a change of the machine's mood
//! meets both. Best and median are over the rounds; the ratios are of the medians. The whole run takes about 15
//! seconds.

mod sealpost;
mod vodozemac;

use std::{error::Error, time::Duration, time::Instant};

/// What goes wrong here stops the run.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long the rows share among them.
const BUDGET: Duration = Duration::from_secs(13);

/// One library's side of a row: does `operations` of them and says how long they took, without what prepares them.
type Measure = Box<dyn FnMut(u32) -> Outcome<Duration>>;

struct Row {
    name: &'static str,
    operations: u32,
    ours: Column,
    theirs: Option<Column>,
}

struct Column {
    measure: Measure,
    rounds: Vec<f64>,
}

impl Row {
    fn new(name: &'static str, operations: u32, ours: Measure, theirs: Option<Measure>) -> Self {
        let column = |measure| Column { measure, rounds: Vec::new() };
        Self { name, operations, ours: column(ours), theirs: theirs.map(column) }
    }

    fn round(&mut self) -> Outcome<()> {
        self.ours.round(self.operations)?;
        self.theirs.as_mut().map_or(Ok(()), |theirs| theirs.round(self.operations))
    }

    fn print(&mut self) {
        let (best, median) = self.ours.best_and_median();
        print!("{:<44}{best:>10.0}{median:>10.0}", self.name);
        if let Some(theirs) = &mut self.theirs {
            let (their_best, their_median) = theirs.best_and_median();
            print!("{their_best:>12.0}{their_median:>10.0}{:>8.1} x", their_median / median);
        }
        println!();
    }
}

impl Column {
    fn round(&mut self, operations: u32) -> Outcome<()> {
        let elapsed = (self.measure)(operations)?;
        self.rounds.push(elapsed.as_secs_f64() * 1e9 / f64::from(operations));
        Ok(())
    }

    fn best_and_median(&mut self) -> (f64, f64) {
        self.rounds.sort_by(f64::total_cmp);
        let at = |index| self.rounds.get(index).copied().unwrap_or(f64::NAN);
        (at(0), at(self.rounds.len() / 2))
    }
}

fn main() -> Outcome<()> {
    let mut rows = [
        Row::new("seal + open 1 KiB on one chain", 500, sealpost::chain()?, Some(vodozemac::chain()?)),
        Row::new("  the primitives of that alone", 500, sealpost::primitives_of_chain(), None),
        Row::new("ping-pong of 1 KiB, two steps", 40, sealpost::ping_pong()?, Some(vodozemac::ping_pong()?)),
        Row::new("open a session and seal, X3DH", 20, sealpost::initiate_x3dh()?, Some(vodozemac::outbound()?)),
        Row::new("open a session and seal, PQXDH", 20, sealpost::initiate_pqxdh()?, Some(vodozemac::outbound()?)),
        Row::new("accept a session and open, X3DH", 20, sealpost::respond_x3dh()?, Some(vodozemac::inbound()?)),
        Row::new("accept a session and open, PQXDH", 20, sealpost::respond_pqxdh()?, Some(vodozemac::inbound()?)),
        Row::new("check a bundle with two one-time keys", 20, sealpost::check_bundle()?, None),
        Row::new("store and load a session", 200, sealpost::store_and_load()?, None),
    ];
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < BUDGET {
        rows.iter_mut().try_for_each(Row::round)?;
        rounds += 1;
    }
    println!("\n{rounds} rounds, ns per operation; vodozemac opens a session with three agreements, we with four\n");
    println!("{:<44}{:>10}{:>10}{:>12}{:>10}{:>10}", "", "best", "median", "vodozemac", "median", "ratio");
    rows.iter_mut().for_each(Row::print);
    Ok(())
}

/// Measures `operation` alone.
fn timed(operations: u32, mut operation: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    let start = Instant::now();
    for _ in 0..operations {
        operation()?;
    }
    Ok(start.elapsed())
}

/// Measures `operation` over values that were prepared before.
fn timed_over<T>(prepared: Vec<T>, mut operation: impl FnMut(T) -> Outcome<()>) -> Outcome<Duration> {
    let start = Instant::now();
    for value in prepared {
        operation(value)?;
    }
    Ok(start.elapsed())
}
