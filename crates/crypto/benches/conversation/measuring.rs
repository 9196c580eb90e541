//! Columns of measurements that are taken in turn, and what is told from them.
//!
//! Every column is measured once per round, so a change of the machine's mood meets them all, and for a fraction of a
//! millisecond, so that few measurements are interrupted by what else the machine does. What is told is the median over
//! the rounds, and ratios are of medians.

use std::time::{Duration, Instant};

use crate::Outcome;

/// Does `operations` of something and says how long they took, without what prepares them and without one more before
/// them, which warms the caches.
pub(crate) type Measure = Box<dyn FnMut(u32) -> Outcome<Duration>>;

/// Names a column.
#[derive(Clone, Copy)]
pub(crate) struct Column(usize);

#[derive(Default)]
pub(crate) struct Columns(Vec<Measured>);

struct Measured {
    operations: u32,
    measure: Measure,
    /// Nanoseconds per operation.
    rounds: Vec<f64>,
}

impl Columns {
    pub(crate) fn add(&mut self, operations: u32, measure: Measure) -> Column {
        self.0.push(Measured { operations, measure, rounds: Vec::new() });
        Column(self.0.len() - 1)
    }

    /// Measures in rounds until `budget` is spent, three at least; says how many they were.
    pub(crate) fn run(&mut self, budget: Duration) -> Outcome<usize> {
        let start = Instant::now();
        let mut rounds = 0;
        while rounds < 3 || start.elapsed() < budget {
            for column in &mut self.0 {
                let elapsed = (column.measure)(column.operations)?;
                column.rounds.push(elapsed.as_secs_f64() * 1e9 / f64::from(column.operations));
            }
            rounds += 1;
        }
        Ok(rounds)
    }

    /// Nanoseconds per operation.
    pub(crate) fn median(&self, column: Column) -> f64 {
        median(self.rounds(column).to_vec())
    }

    /// The least of all rounds.
    pub(crate) fn best(&self, column: Column) -> f64 {
        self.rounds(column).iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// How many times longer `over` takes than `under`.
    pub(crate) fn ratio(&self, over: Column, under: Column) -> f64 {
        self.median(over) / self.median(under)
    }

    /// Nanoseconds of all of `parts` together, each so many times.
    pub(crate) fn sum(&self, parts: &[(u32, Column)]) -> f64 {
        parts.iter().map(|(count, part)| f64::from(*count) * self.median(*part)).sum()
    }

    fn rounds(&self, column: Column) -> &[f64] {
        self.0.get(column.0).map_or(&[], |measured| &measured.rounds)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Measures `operation` alone.
pub(crate) fn timed(operations: u32, mut operation: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    operation()?;
    let start = Instant::now();
    for _ in 0..operations {
        operation()?;
    }
    Ok(start.elapsed())
}

/// Measures `operation` over values that were prepared before: one more than are measured.
pub(crate) fn timed_over<T>(prepared: Vec<T>, mut operation: impl FnMut(T) -> Outcome<()>) -> Outcome<Duration> {
    let mut prepared = prepared.into_iter();
    prepared.next().map_or(Ok(()), &mut operation)?;
    let start = Instant::now();
    for value in prepared {
        operation(value)?;
    }
    Ok(start.elapsed())
}
