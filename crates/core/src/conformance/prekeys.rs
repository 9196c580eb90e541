//! What every adapter of [`Prekeys`] must do.

mod claiming;
mod forgetting;
mod publishing;
mod recalling;

use sealpost_protocol::{AgentId, Bundle, ClaimId, KeyId, Timestamp};

pub use self::{claiming::*, forgetting::*, publishing::*, recalling::*};
use super::{Agent, NOW};
use crate::ports::{Claim, PrekeyCounts, PrekeyUpload, Prekeys};

/// Makes every check of the suite a test: `prekeys_conformance!(make)`, where `make` is an async function that returns
/// an empty adapter and something to keep until the check is over.
#[macro_export]
macro_rules! prekeys_conformance {
    ($make:path) => {
        $crate::conformance_tests! { $make, prekeys:
            what_was_published_is_there
            an_agent_that_published_nothing_is_unknown
            the_first_unknown_agent_is_named
            publishing_the_same_again_changes_nothing
            a_newer_manifest_takes_the_place_of_the_older
            an_older_manifest_is_stale
            another_manifest_of_the_same_version_is_stale
            the_highest_version_is_a_version_too
            the_same_manifest_may_bring_more_keys
            one_key_id_names_one_key_of_a_kind
            a_kind_and_an_agent_have_ids_of_their_own
            an_upload_is_stored_whole_or_not_at_all
            so_many_unused_keys_and_no_more
            concurrent_uploads_of_one_agent_are_counted_together

            unused_keys_are_forgotten_at_the_word_of_their_owner
            the_ids_of_keys_that_were_recalled_stay_used
            what_was_handed_out_before_a_recall_stays_with_its_claim
            a_recall_that_is_repeated_keeps_what_it_brought
            a_recall_makes_room_for_a_full_set_in_the_same_step
            a_recall_that_is_refused_forgets_nothing
            a_recall_is_about_its_agent_alone

            a_claim_takes_one_key_of_each_kind
            a_claim_without_keys_has_the_manifest_alone
            the_same_claim_again_returns_the_same_bundle
            a_claim_is_named_by_requester_id_and_target
            a_key_handed_out_is_not_handed_out_again
            expired_keys_are_passed_over
            the_key_that_expires_first_goes_first
            of_concurrent_claims_each_key_goes_to_one
            concurrent_repetitions_of_one_claim_take_one_key
            a_claim_from_an_unknown_agent_leaves_no_trace

            a_requester_s_claims_of_one_target_are_limited
            a_requester_s_claims_of_all_targets_together_are_limited
            one_time_keys_of_a_target_are_protected_from_all_requesters_together
            expired_keys_do_not_count

            an_old_claim_is_forgotten
            a_young_claim_is_remembered
            the_id_of_a_forgotten_key_stays_used
            unused_keys_are_forgotten_when_they_have_expired
            the_id_of_a_key_is_forgotten_some_time_after_its_end
            ids_of_keys_that_are_there_are_not_forgotten
            forgetting_goes_in_small_steps
            manifests_are_not_forgotten
        }
    };
}

async fn publish(prekeys: &dyn Prekeys, upload: PrekeyUpload) -> PrekeyCounts {
    prekeys.publish(upload, NOW).await.unwrap()
}

/// So many keys of either kind.
fn both(count: u64) -> PrekeyCounts {
    PrekeyCounts { one_time_curve: count, one_time_kem: count }
}

/// The requester's claim of this number, at [`NOW`].
fn claim_of(requester: &Agent, number: u8, target: &Agent) -> Claim {
    Claim { requester: requester.id(), id: ClaimId([number; 16]), target: target.id(), at: NOW }
}

async fn claim(prekeys: &dyn Prekeys, requester: &Agent, number: u8, target: &Agent) -> Bundle {
    prekeys.claim(claim_of(requester, number, target)).await.unwrap().unwrap()
}

/// The ids of a bundle's one-time keys.
fn key_ids(bundle: &Bundle) -> (Option<u32>, Option<u32>) {
    let curve = bundle.one_time_curve.as_ref().map(|key| key.prekey.id);
    let kem = bundle.one_time_kem.as_ref().map(|key| key.prekey.id);
    (curve.map(|KeyId(id)| id), kem.map(|KeyId(id)| id))
}

/// Forgets to the end.
async fn forget_all(prekeys: &dyn Prekeys, before: Timestamp) -> usize {
    let mut total = 0;
    loop {
        match prekeys.forget(before, 1_000).await.unwrap() {
            0 => return total,
            rows => total += rows,
        }
    }
}

async fn counts(prekeys: &dyn Prekeys, agent: AgentId) -> PrekeyCounts {
    prekeys.counts(agent, NOW).await.unwrap()
}
