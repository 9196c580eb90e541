//! The tables whose rows name contents: whoever asks what is needed asks all of them, and what was let go of besides.

/// A table each of whose rows names one content, by the handle in its column `content`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentTable {
    Parts,
    Pieces,
    ControlMessages,
}

impl ContentTable {
    pub(super) const ALL: [Self; 3] = [Self::Parts, Self::Pieces, Self::ControlMessages];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Parts => "parts",
            Self::Pieces => "pieces",
            Self::ControlMessages => "control_messages",
        }
    }

    /// The numbers that name a row, as columns: where one is enough, the second is 0.
    fn key(self) -> (&'static str, &'static str) {
        match self {
            Self::Parts => ("delivery", "0"),
            Self::Pieces => ("pieces", "place"),
            Self::ControlMessages => ("place", "0"),
        }
    }

    /// Gives `?3` rows behind the one of `?1` and `?2`, in order: handle and key.
    pub(super) fn page(self) -> String {
        let (name, (row, place)) = (self.name(), self.key());
        let order = if place == "0" { row.to_owned() } else { format!("{row}, {place}") };
        format!(
            "SELECT content, {row}, {place} FROM {name} WHERE ({row}, {place}) > (?1, ?2) ORDER BY {order} LIMIT ?3"
        )
    }

    /// Gives the handle that stands now in the row of `?1` and `?2`.
    pub(super) fn handle(self) -> String {
        let (name, (row, place)) = (self.name(), self.key());
        format!("SELECT content FROM {name} WHERE {row} = ?1 AND {place} = ?2")
    }
}

/// Gives `?2` handles behind `?1` of what was let go of and not yet discarded, in order.
pub(super) const RELEASED_PAGE: &str = "SELECT handle FROM released WHERE handle > ?1 ORDER BY handle LIMIT ?2";

/// Gives every handle that the ledger has, of what it let go of as well.
pub(super) fn all_handles() -> String {
    let named = ContentTable::ALL.map(|table| format!("SELECT content FROM {}", table.name()));
    format!("{} UNION ALL SELECT handle FROM released", named.join(" UNION ALL "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::embedded::schema::tests::{columns_of_bytes, slow};

    /// What else stands in columns of bytes: names, keys, hashes and signatures, and what was signed.
    const NO_HANDLES: [&str; 26] = [
        "agent",
        "claim_id",
        "content_hash",
        "contents_store",
        "countersignature",
        "delegation",
        "hash",
        "header",
        "header_hash",
        "id",
        "ledger",
        "manifest",
        "message_id",
        "node",
        "one_time_curve",
        "one_time_kem",
        "part_hash",
        "previous_root",
        "receipt",
        "recipient",
        "requester",
        "root",
        "sender",
        "signature",
        "target",
        "upload_id",
    ];

    #[test]
    fn every_table_with_handles_is_among_them() {
        let mut holding = BTreeSet::new();
        for (table, column) in columns_of_bytes() {
            match (table.as_str(), column.as_str()) {
                // The keys themselves, which are short.
                ("one_time_prekeys", "content") | ("released", "handle") => {}
                (_, "content") => assert!(holding.insert(table)),
                (_, column) => assert!(NO_HANDLES.contains(&column), "{table}.{column}: are there handles in it?"),
            }
        }
        assert_eq!(holding, ContentTable::ALL.map(|table| table.name().to_owned()).into());
    }

    #[test]
    fn pages_and_rows_are_found_by_an_index() {
        let statements = ContentTable::ALL.map(|table| [table.page(), table.handle()]);
        let statements: Vec<&str> = statements.as_flattened().iter().map(String::as_str).collect();
        assert_eq!(slow(&statements), []);
        assert_eq!(slow(&[RELEASED_PAGE]), []);
    }
}
