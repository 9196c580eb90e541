//! How numbers and times of the domain stand in columns. Ids, hashes and encoded values are plain BLOBs.

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use sealpost_protocol::Timestamp;

/// An unsigned number in an INTEGER column, which is signed: a greater one counts as the greatest. Only ends of lives
/// that agents choose, and places that readers ask for, can be so great, and both are compared only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub(super) u64);

/// A time, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Number {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let stored = i64::column_result(value)?;
        u64::try_from(stored).map(Self).map_err(|_| FromSqlError::OutOfRange(stored))
    }
}

impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Number::column_result(value).map(|Number(millis)| Self(Timestamp::from_millis(millis)))
    }
}
