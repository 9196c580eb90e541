//! The steps of section 18 of `docs/protocol.md`, and which primitives each is made of.

use sealpost_protocol::Suite;

use crate::{
    Outcome,
    measuring::{Column, Columns, Measure},
    primitives::Primitives,
    receipts::{self, RECEIPTS},
    sealpost,
};

pub(crate) struct Step {
    name: &'static str,
    column: Column,
    parts: Vec<(u32, Column)>,
}

/// A message of 1 KiB in every step that has one, and a one-time curve key in every handshake.
pub(crate) fn add_to(columns: &mut Columns, primitives: &Primitives) -> Outcome<Vec<Step>> {
    let Primitives { key, dh, kem_key, encapsulate, decapsulate, hkdf, hash, hash_part, hash_kem, .. } = *primitives;
    let Primitives { seal, open, sign, verify, identity, form, hash_leaf, hash_node, .. } = *primitives;
    let mut step = |name, operations, measure: Measure, parts: &[(u32, Column)]| Step {
        name,
        column: columns.add(operations, measure),
        parts: parts.to_vec(),
    };
    let sealed = [(1, seal), (1, hash), (1, hash_part)];
    let opened = [(1, open), (1, hash), (1, hash_part)];
    let with = |parts: &[(u32, Column)], more: &[(u32, Column)]| [parts, more].concat();
    let sealed_with_step = with(&sealed, &[(1, key), (1, dh), (2, hkdf)]);
    let opened_with_step = with(&opened, &[(1, dh), (2, hkdf)]);
    let initiated = [(1, seal), (2, key), (5, dh), (3, hkdf), (3, hash), (1, form)];
    let responded = [(1, open), (5, dh), (3, hkdf), (5, hash), (1, identity), (1, form)];
    let (x3dh, pqxdh) = (Suite::X3dh25519, Suite::Pqxdh25519MlKem768);
    let checked = [(1, verify), (1, identity), (1, hash)];
    let tree = [(RECEIPTS, hash_leaf), (RECEIPTS - 1, hash_node)];
    // The tree once for its root and once for the paths; the leaves' hashes twice as well.
    let taken = [(2 * RECEIPTS, hash_leaf), (2 * (RECEIPTS - 1), hash_node), (1, verify)];
    let proven = [(1, hash_leaf), (RECEIPTS.next_power_of_two().ilog2(), hash_node), (1, verify)];
    Ok(vec![
        step("make a manifest", 4, sealpost::make_manifest()?, &[(2, key), (1, kem_key), (1, sign)]),
        step("make a one-time key", 8, sealpost::make_one_time_key()?, &[(1, key), (1, sign)]),
        step("check a manifest", 3, sealpost::check_manifest()?, &checked),
        step("check a bundle with two one-time keys", 2, sealpost::check_bundle()?, &with(&checked, &[(2, verify)])),
        step("open a session, initiator, X3DH; seal", 2, sealpost::initiate_and_seal(x3dh)?, &initiated),
        step(
            "the same, PQXDH",
            2,
            sealpost::initiate_and_seal(pqxdh)?,
            &with(&initiated, &[(1, encapsulate), (1, hash_kem)]),
        ),
        step("be opened to, responder, X3DH; open", 2, sealpost::respond_and_open(x3dh)?, &responded),
        step(
            "the same, PQXDH",
            2,
            sealpost::respond_and_open(pqxdh)?,
            &with(&responded, &[(1, decapsulate), (1, hash_kem)]),
        ),
        step("seal on a chain", 40, sealpost::seal_on_a_chain()?, &with(&sealed, &[(1, hkdf)])),
        step("seal with a step", 6, sealpost::seal_with_a_step()?, &sealed_with_step),
        step("open on a chain", 40, sealpost::open_on_a_chain()?, &with(&opened, &[(1, hkdf)])),
        step("open with a skipped key", 40, sealpost::open_with_a_skipped_key()?, &opened),
        step("open with a step", 6, sealpost::open_with_a_step()?, &opened_with_step),
        step("make a batch of 200 receipts", 2, receipts::make_a_batch()?, &with(&tree, &[(1, sign)])),
        step("relay: take it, with every path", 1, receipts::take_a_batch()?, &taken),
        step("sender: check one proof", 3, receipts::check_a_proof()?, &proven),
    ])
}

/// What a step may take, beside the sum of its primitives: so many times it, or so many nanoseconds more.
const TIMES: f64 = 1.3;
const NANOSECONDS: f64 = 2_000.0;

impl Step {
    /// The time over the sum.
    pub(crate) fn over_primitives(&self, columns: &Columns) -> f64 {
        columns.median(self.column) / columns.sum(&self.parts)
    }

    /// The time over what it may take; above 1 it takes too long.
    pub(crate) fn of_allowance(&self, columns: &Columns) -> f64 {
        let sum = columns.sum(&self.parts);
        columns.median(self.column) / (TIMES * sum).max(sum + NANOSECONDS)
    }

    pub(crate) fn print(&self, columns: &Columns) {
        let (best, median, sum) = (columns.best(self.column), columns.median(self.column), columns.sum(&self.parts));
        println!("{:<44}{best:>10.0}{median:>10.0}{sum:>12.0}{:>8.2} x", self.name, self.over_primitives(columns));
    }
}
