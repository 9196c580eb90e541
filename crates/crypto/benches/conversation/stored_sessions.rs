//! What ten thousand sessions take, sealed as an agent's store holds them.

use std::{hint::black_box, time::Instant};

use sealpost_crypto::{RowAddress, Session, SystemPrimitives, Vault};
use sealpost_protocol::AgentId;

use crate::{Outcome, sealpost::Pair};

const SESSIONS: u32 = 10_000;

/// Bytes that the store's record has beside the session: length, whether it sends, when it was used.
const RECORD: usize = 4 + 1 + 8;

pub(crate) struct Cost {
    /// Bytes of a sealed row.
    pub(crate) bytes: usize,
    /// Nanoseconds to encode and seal one, and to open and decode one.
    pub(crate) save: f64,
    pub(crate) load: f64,
}

/// Of sessions with `skipped` keys kept each, all different rows.
pub(crate) fn cost(skipped: usize) -> Outcome<Cost> {
    let (_, session) = Pair::new()?.sessions(skipped)?;
    let vault = Vault::create(&SystemPrimitives, AgentId::from_array([1; 32]))?;
    let names: Vec<[u8; 4]> = (0..SESSIONS).map(u32::to_be_bytes).collect();
    let address = |row| RowAddress { table: "session", row, version: 1 };
    let start = Instant::now();
    let mut rows = Vec::with_capacity(names.len());
    for name in &names {
        let mut record = session.encode().to_vec();
        record.extend_from_slice(&[0; RECORD]);
        rows.push(vault.seal(&SystemPrimitives, &address(name), &record)?);
    }
    let save = start.elapsed();
    let start = Instant::now();
    for (name, row) in names.iter().zip(&rows) {
        let record = vault.open(&address(name), row)?;
        let (encoded, _) = record.split_at(record.len() - RECORD);
        black_box(Session::decode(encoded)?);
    }
    let load = start.elapsed();
    let each = |elapsed: std::time::Duration| elapsed.as_secs_f64() * 1e9 / f64::from(SESSIONS);
    let bytes = rows.iter().map(Vec::len).sum::<usize>() / rows.len();
    Ok(Cost { bytes, save: each(save), load: each(load) })
}
