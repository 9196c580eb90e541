//! The tables; `schema.sql` and the steps after it say what each is for and why it is laid out as it is.

use sealpost_sqlite::{ApplicationId, Schema};

/// The relay's database and how it came to its present shape.
pub(super) const SCHEMA: Schema = Schema {
    application_id: ApplicationId::new(*b"SPRL"),
    migrations: &[
        include_str!("schema.sql"),
        include_str!("schema/ledger_identity.sql"),
        include_str!("schema/forgotten_keys.sql"),
        include_str!("schema/claim_limits.sql"),
        include_str!("schema/signed_heads.sql"),
        include_str!("schema/last_sweep.sql"),
        include_str!("schema/bodies.sql"),
        include_str!("schema/control_messages.sql"),
        include_str!("schema/contents.sql"),
        include_str!("schema/fan_outs.sql"),
        include_str!("schema/collected.sql"),
        include_str!("schema/lost.sql"),
        include_str!("schema/forgotten_ids.sql"),
        include_str!("schema/contents_store.sql"),
        include_str!("schema/revocations.sql"),
    ],
};

#[cfg(test)]
pub(super) mod tests;
