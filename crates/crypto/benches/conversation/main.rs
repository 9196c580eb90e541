//! What each step costs, beside vodozemac and beside the primitives that it is made of, all in the same run:
//! `cargo bench -p sealpost-crypto`, or `scripts/bench-crypto`.
//!
//! The last line is one JSON object:
//!
//! * `chain_ratio`: how many times longer vodozemac takes to encrypt and decrypt 1 KiB on one chain; the worse of none and
//!   100 skipped keys kept.
//! * `pingpong_ratio`: the same of a message there and one back, two ratchet steps in all.
//! * `open_ratio`: the same of opening a session (X3DH) and sealing its first message.
//! * `worst_over_primitives`: the worst step's time over the sum of its primitives.
//! * `worst_of_allowance`: the worst step's time over what it is allowed, 1.3 times that sum or 2 µs more, whichever is
//!   more; above 1 a step takes too long.
//! * `recipient_keys_ratio`: how many times longer sealing a message of 1 KiB for 1,000 recipients under `recipient-keys`
//!   takes than 1,000 bare HPKE seals of the same crate, modes and randomness.
//! * `bytes_first_1k`, `bytes_later_1k`: bytes on the wire, header and envelope, of the first message of 1 KiB to a peer
//!   under the default suite, and of one after the answer.
//! * `within`: whether the ratios beside vodozemac and that of `recipient-keys` keep to their bars, and `missed`: those that
//!   do not. The steps have none here: two are known to take longer than they are allowed (`docs/protocol.md`, section 18).
//!
//! Both sides work from content to bytes on the wire and back; ours pads besides. The steps beside their primitives also
//! encode and hash the message's header, and hash the envelope, as a runtime does.

mod bars;
mod measuring;
mod primitives;
mod receipts;
mod recipients;
mod sealpost;
mod steps;
mod stored_sessions;
mod vodozemac;

use std::{error::Error, time::Duration};

use sealpost_protocol::Suite;
use serde_json::Value;

use self::{
    bars::Ratios,
    measuring::{Column, Columns, Measure},
    primitives::Primitives,
    sealpost::Pair,
};

/// What goes wrong here stops the run.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long the columns share among them.
const BUDGET: Duration = Duration::from_secs(20);

/// A row that has a counterpart.
struct Duel {
    name: &'static str,
    ours: Column,
    theirs: Column,
}

fn main() -> Outcome<()> {
    let columns = &mut Columns::default();
    let chains = [
        duel(columns, "seal + open 1 KiB on one chain", 15, sealpost::chain(0)?, vodozemac::chain(0)?),
        duel(columns, "  with 100 skipped keys kept", 15, sealpost::chain(100)?, vodozemac::chain(100)?),
    ];
    let ping_pong = duel(columns, "ping-pong, two steps", 2, sealpost::ping_pong()?, vodozemac::ping_pong()?);
    let open = duel(columns, "open a session (X3DH) and seal", 2, initiate(Suite::X3dh25519)?, vodozemac::outbound()?);
    let others = [
        duel(columns, "the same, PQXDH", 2, initiate(Suite::Pqxdh25519MlKem768)?, vodozemac::outbound()?),
        duel(columns, "accept a session (X3DH) and open", 2, respond(Suite::X3dh25519)?, vodozemac::inbound()?),
        duel(columns, "the same, PQXDH", 2, respond(Suite::Pqxdh25519MlKem768)?, vodozemac::inbound()?),
    ];
    let primitives = Primitives::add_to(columns)?;
    let steps = steps::add_to(columns, &primitives)?;
    let rounds = columns.run(BUDGET)?;

    println!("\n{rounds} rounds, ns per operation; vodozemac opens a session with three agreements, we with four\n");
    println!("{:<44}{:>10}{:>10}{:>12}{:>10}", "beside vodozemac", "best", "median", "vodozemac", "ratio");
    chains.iter().chain([&ping_pong, &open]).chain(&others).for_each(|duel| duel.print(columns));
    println!("\n{:<44}{:>10}{:>10}", "primitives", "best", "median");
    primitives.print(columns);
    println!("\n{:<44}{:>10}{:>10}{:>12}{:>10}", "beside its primitives", "best", "median", "primitives", "ratio");
    steps.iter().for_each(|step| step.print(columns));
    println!("\n{:<44}{:>10}{:>12}{:>12}", "10,000 sessions, each", "bytes", "save, ns", "load, ns");
    for (name, skipped) in [("  no skipped keys", 0), ("  100 skipped keys", 100)] {
        let stored_sessions::Cost { bytes, save, load } = stored_sessions::cost(skipped)?;
        println!("{name:<44}{bytes:>10}{save:>12.0}{load:>12.0}");
    }
    println!(
        "\n{:<44}{:>10}{:>10}{:>12}{:>10}",
        "recipient-keys, 1,000 recipients", "best", "median", "HPKE seals", "ratio"
    );
    let recipients = recipients::cost()?;
    recipients.print();
    let pair = Pair::new()?;
    let (first, later) = pair.bytes_on_the_wire(Suite::Pqxdh25519MlKem768)?;
    let (first_x3dh, _) = pair.bytes_on_the_wire(Suite::X3dh25519)?;
    println!("\nbytes of a message of 1 KiB: first {first} (X3DH: {first_x3dh}), later {later}");
    let of = |duel: &Duel| columns.ratio(duel.theirs, duel.ours);
    let ratios = Ratios {
        chain: chains.iter().map(of).fold(f64::INFINITY, f64::min),
        pingpong: of(&ping_pong),
        open: of(&open),
        recipient_keys: recipients.ratio(),
    };
    let worst = steps.iter().map(|step| step.over_primitives(columns)).fold(0.0, f64::max);
    let allowance = steps.iter().map(|step| step.of_allowance(columns)).fold(0.0, f64::max);
    let missed = bars::missed(&ratios);
    println!(
        "\n{{\"chain_ratio\": {:.2}, \"pingpong_ratio\": {:.2}, \"open_ratio\": {:.2}, \
         \"worst_over_primitives\": {worst:.2}, \"worst_of_allowance\": {allowance:.2}, \"recipient_keys_ratio\": {:.2}, \
         \"bytes_first_1k\": {first}, \"bytes_later_1k\": {later}, \"within\": {}, \"missed\": {}}}",
        ratios.chain,
        ratios.pingpong,
        ratios.open,
        ratios.recipient_keys,
        missed.is_empty(),
        Value::from(missed),
    );
    Ok(())
}

fn initiate(suite: Suite) -> Outcome<Measure> {
    sealpost::initiate_and_seal(suite)
}

fn respond(suite: Suite) -> Outcome<Measure> {
    sealpost::respond_and_open(suite)
}

fn duel(columns: &mut Columns, name: &'static str, operations: u32, ours: Measure, theirs: Measure) -> Duel {
    Duel { name, ours: columns.add(operations, ours), theirs: columns.add(operations, theirs) }
}

impl Duel {
    fn print(&self, columns: &Columns) {
        let (best, median, theirs) = (columns.best(self.ours), columns.median(self.ours), columns.median(self.theirs));
        let ratio = columns.ratio(self.theirs, self.ours);
        println!("{:<44}{best:>10.0}{median:>10.0}{theirs:>12.0}{ratio:>8.2} x", self.name);
    }
}
