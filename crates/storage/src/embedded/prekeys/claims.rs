//! Handing out one-time keys, each to one claim, and the same to the same claim.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use sealpost_core::{
    limits,
    ports::{Claim, ClaimKeysError, RecentClaims},
};
use sealpost_protocol::{Bundle, PrekeyKind, Timestamp};

use super::{Abort, Number, StoreError, Time, decode};

pub(super) const FIND_CLAIM: &str = "SELECT manifest, one_time_curve, one_time_kem FROM claims
     WHERE requester = ?1 AND claim_id = ?2 AND target = ?3";
pub(super) const FIND_TARGET: &str = "SELECT id, manifest FROM agents WHERE agent = ?1";
pub(super) const TAKE_KEY: &str = "UPDATE one_time_prekeys SET claimed_at = ?3
     WHERE id = (
         SELECT id FROM one_time_prekeys
         WHERE owner = ?1 AND kind = ?2 AND claimed_at IS NULL AND content IS NOT NULL AND expires_at > ?3
         ORDER BY expires_at LIMIT 1
     )
     RETURNING content";
pub(super) const INSERT_CLAIM: &str = "INSERT INTO claims
         (requester, claim_id, target, made_at, manifest, one_time_curve, one_time_kem)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

pub(super) const BY_REQUESTER: &str = "SELECT count(*), min(made_at) FROM claims WHERE requester = ?1 AND made_at > ?2";
pub(super) const OF_TARGET: &str =
    "SELECT count(*), min(made_at) FROM claims WHERE requester = ?1 AND target = ?3 AND made_at > ?2";
pub(super) const WITH_KEYS: &str = "SELECT count(*) FROM claims
     WHERE target = ?1 AND made_at > ?2 AND (one_time_curve IS NOT NULL OR one_time_kem IS NOT NULL)";

/// A bundle as it is stored.
pub(super) struct EncodedBundle {
    manifest: Vec<u8>,
    one_time_curve: Option<Vec<u8>>,
    one_time_kem: Option<Vec<u8>>,
}

impl EncodedBundle {
    pub(super) fn decode(self) -> Result<Bundle, StoreError> {
        Ok(Bundle {
            manifest: decode("manifest", &self.manifest)?,
            one_time_curve: self.one_time_curve.map(|key| decode("one-time curve key", &key)).transpose()?,
            one_time_kem: self.one_time_kem.map(|key| decode("one-time KEM key", &key)).transpose()?,
        })
    }
}

/// `None` if the target has published nothing.
pub(super) fn claim(
    transaction: &Transaction<'_>,
    claim: &Claim,
) -> Result<Option<EncodedBundle>, Abort<ClaimKeysError>> {
    let mut find = transaction.prepare_cached(FIND_CLAIM)?;
    let name = params![claim.requester.as_bytes(), claim.id.0, claim.target.as_bytes()];
    let known = find.query_one(name, |row| {
        Ok(EncodedBundle { manifest: row.get(0)?, one_time_curve: row.get(1)?, one_time_kem: row.get(2)? })
    });
    if let Some(bundle) = known.optional()? {
        return Ok(Some(bundle));
    }
    let mut find = transaction.prepare_cached(FIND_TARGET)?;
    let target = find.query_one([claim.target.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((owner, manifest)) = target.optional()? else { return Ok(None) };
    check_limits(transaction, claim)?;
    let is_protected = claims_with_keys(transaction, claim)? >= limits::ONE_TIME_CLAIMS_PER_TARGET as u64;
    let take = |kind| if is_protected { Ok(None) } else { take_key(transaction, owner, kind, claim.at) };
    let bundle = EncodedBundle {
        manifest,
        one_time_curve: take(PrekeyKind::OneTimeCurve)?,
        one_time_kem: take(PrekeyKind::OneTimeKem)?,
    };
    transaction.prepare_cached(INSERT_CLAIM)?.execute(params![
        claim.requester.as_bytes(),
        claim.id.0,
        claim.target.as_bytes(),
        Time(claim.at),
        bundle.manifest,
        bundle.one_time_curve,
        bundle.one_time_kem,
    ])?;
    Ok(Some(bundle))
}

fn check_limits(transaction: &Transaction<'_>, claim: &Claim) -> Result<(), Abort<ClaimKeysError>> {
    let (requester, begin) = (claim.requester.as_bytes(), Time(claim.window_begins()));
    let recent = |row: &Row<'_>| {
        let (Number(count), first) = (row.get(0)?, row.get::<_, Option<Time>>(1)?);
        let first = first.map(|Time(first)| first).unwrap_or_default();
        Ok(RecentClaims { count: usize::try_from(count).unwrap_or(usize::MAX), first })
    };
    let by_requester = transaction.prepare_cached(BY_REQUESTER)?.query_one(params![requester, begin], recent)?;
    let pair = params![requester, begin, claim.target.as_bytes()];
    let of_target = transaction.prepare_cached(OF_TARGET)?.query_one(pair, recent)?;
    claim.check(by_requester, of_target).map_err(Abort::Refused)
}

/// How often one-time keys of the target have gone out lately.
fn claims_with_keys(transaction: &Transaction<'_>, claim: &Claim) -> Result<u64, StoreError> {
    let bounds = params![claim.target.as_bytes(), Time(claim.window_begins())];
    let Number(count) = transaction.prepare_cached(WITH_KEYS)?.query_one(bounds, |row| row.get(0))?;
    Ok(count)
}

fn take_key(
    transaction: &Transaction<'_>,
    owner: i64,
    kind: PrekeyKind,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut statement = transaction.prepare_cached(TAKE_KEY)?;
    Ok(statement.query_one(params![owner, kind.as_str(), Time(now)], |row| row.get(0)).optional()?)
}
