//! The statements about prekeys use the indexes that were made for them.

use super::{COUNT, KNOWN, MANIFEST, claims, forgetting, publishing};
use crate::embedded::schema::tests::{plan, slow};

#[test]
fn no_statement_reads_a_table_from_end_to_end() {
    let statements = [
        COUNT,
        KNOWN,
        MANIFEST,
        claims::FIND_CLAIM,
        claims::FIND_TARGET,
        claims::INSERT_CLAIM,
        claims::BY_REQUESTER,
        claims::OF_TARGET,
        claims::WITH_KEYS,
        claims::TAKE_KEY,
        forgetting::FORGET_CLAIMS,
        forgetting::FORGET_IDS,
        forgetting::FORGET_KEYS,
        publishing::FIND_AGENT,
        publishing::FIND_KEY,
        publishing::FORGET_KEY,
        publishing::INSERT_AGENT,
        publishing::INSERT_KEY,
        publishing::UNUSED_KEYS,
        publishing::UPDATE_AGENT,
    ];
    assert_eq!(slow(&statements), []);
}

#[test]
fn taking_a_key_passes_over_expired_and_used_ones_without_looking_at_them() {
    let unused = "SEARCH one_time_prekeys USING INDEX unused (owner=? AND kind=? AND expires_at>?)".to_owned();
    let steps = plan(claims::TAKE_KEY);
    assert!(steps.contains(&unused), "{steps:?}");
}

#[test]
fn whether_an_agent_is_known_is_asked_of_the_index_alone() {
    let steps = plan(KNOWN);
    assert!(steps.iter().any(|step| step.contains("COVERING INDEX")), "{steps:?}");
}

#[test]
fn recent_claims_are_counted_in_their_indexes_alone() {
    for (sql, index) in [
        (claims::BY_REQUESTER, "claims_by_requester (requester=? AND made_at>?)"),
        (claims::OF_TARGET, "claims_by_pair (requester=? AND target=? AND made_at>?)"),
        (claims::WITH_KEYS, "claims_with_keys (target=? AND made_at>?)"),
    ] {
        let steps = plan(sql);
        assert!(steps.iter().any(|step| step.contains(index)), "{steps:?}");
    }
}
