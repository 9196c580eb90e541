//! How SQLite will go about a statement.

use rusqlite::Connection;

use super::SCHEMA;

/// An empty database with the tables.
fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for migration in SCHEMA.migrations {
        connection.execute_batch(migration).unwrap();
    }
    connection
}

/// Every column of bytes, with its table.
pub(in crate::embedded) fn columns_of_bytes() -> Vec<(String, String)> {
    const COLUMNS: &str = "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
         WHERE t.type = 'table' AND c.type NOT IN ('INTEGER', 'TEXT')";
    let database = database();
    let mut statement = database.prepare(COLUMNS).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The steps of a statement, as `EXPLAIN QUERY PLAN` names them.
pub(in crate::embedded) fn plan(sql: &str) -> Vec<String> {
    let database = database();
    let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // Without parameters bound: they are NULL then, and the plan does not depend on them.
    statement.raw_query().mapped(|row| row.get("detail")).collect::<Result<_, _>>().unwrap()
}

/// The statements that read a table or an index from end to end, or sort what an index should have ordered.
pub(in crate::embedded) fn slow<'a>(statements: &[&'a str]) -> Vec<(&'a str, String)> {
    let is_slow = |step: &String| {
        let scans = step.starts_with("SCAN") && !step.starts_with("SCAN CONSTANT ROW");
        scans || step.contains("TEMP B-TREE")
    };
    let steps = statements.iter().flat_map(|sql| plan(sql).into_iter().map(move |step| (*sql, step)));
    steps.filter(|(_, step)| is_slow(step)).collect()
}

#[test]
fn a_statement_without_an_index_is_found_slow() {
    assert_eq!(slow(&["SELECT 1 FROM deliveries WHERE part_length = ?1"]).len(), 1);
    assert_eq!(slow(&["SELECT id FROM deliveries WHERE recipient = ?1 AND mailbox_seq > 1 ORDER BY attempt"]).len(), 1);
}

#[test]
fn an_accepted_message_enters_three_secondary_indexes() {
    let database = database();
    let message = ["change_numbers", "messages", "deliveries", "parts", "ledger", "released", "mailboxes"];
    // A message is accepted as pending, which keeps it out of two.
    let expected =
        [("in_transit", true), ("lost", true), ("messages_by_name", false), ("sent", false), ("waiting", true)];
    assert_eq!(secondary_indexes(&database, &message), expected.map(|(name, partial)| (name.to_owned(), partial)));
    for (index, state) in
        [("in_transit", "WHERE state = 'in-transit'"), ("lost", "WHERE state = 'failed' AND reason = 'lost'")]
    {
        let made: String =
            database.query_one("SELECT sql FROM sqlite_schema WHERE name = ?1", [index], |row| row.get(0)).unwrap();
        assert!(made.ends_with(state), "{made}");
    }
}

#[test]
fn contents_that_stay_and_bodies_that_were_uploaded_touch_indexes_of_their_own() {
    let database = database();
    assert_eq!(secondary_indexes(&database, &["retained"]), [("retained_by_end".to_owned(), false)]);
    let of_bodies = secondary_indexes(&database, &["bodies", "pieces", "body_bytes", "uploads"]);
    assert_eq!(of_bodies, ["uploads_by_end", "uploads_by_name"].map(|name| (name.to_owned(), false)));
}

/// The indexes of tables besides their own order, by name, and whether rows can stay out of them.
fn secondary_indexes(database: &Connection, tables: &[&str]) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for table in tables {
        let mut statement =
            database.prepare("SELECT name, partial FROM pragma_index_list(?1) WHERE origin <> 'pk'").unwrap();
        let indexes = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        found.extend(indexes.map(Result::<(String, bool), _>::unwrap));
    }
    found.sort();
    found
}
