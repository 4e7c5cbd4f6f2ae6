//! The suite that every driver runs.
//!
//! `make` opens a new, empty store each time. A case panics on the first
//! answer that breaks the contract of the traits.
#![allow(clippy::unwrap_used)]

mod attestations;
mod events;
pub mod fixture;
mod proofs;
mod queue;
mod rest;

use std::sync::Arc;

pub use fixture::Fixture;

use crate::Store;

/// Runs every case against its own store.
pub async fn run<S, F>(make: F)
where
    S: Store + 'static,
    F: AsyncFn() -> S,
{
    macro_rules! cases {
        ($($module:ident :: $case:ident),+ $(,)?) => {$({
            println!("conformance: {}::{}", stringify!($module), stringify!($case));
            let store: Arc<dyn Store> = Arc::new(make().await);
            $module::$case(Arc::clone(&store)).await;
            let report = store.verify().await.unwrap();
            assert_eq!(report.findings, Vec::<String>::new(), "after {}", stringify!($case));
        })+};
    }
    cases!(
        events::appends_only_at_the_head,
        events::concurrent_appends_lose_nothing,
        events::a_failed_append_leaves_nothing,
        events::the_chain_is_told_as_each_event_left_it,
        events::sealed_keys_come_back,
        events::the_first_who_names_the_sealing_key_decides,
        events::audit_filters,
        events::projections_are_rebuilt,
        attestations::every_field_comes_back,
        attestations::a_moved_key_signs_nothing,
        attestations::one_of_many_signatures_is_stored,
        attestations::events_go_with_their_signature,
        attestations::what_was_decided_from_memory_is_decided_anew,
        attestations::only_one_is_the_first_of_its_statement,
        attestations::each_of_many_at_once_is_answered_for_itself,
        attestations::an_equal_signature_enters_the_ledger_once,
        attestations::an_import_enters_no_ledger,
        attestations::a_repeated_request_is_answered_from_memory,
        attestations::lists_are_filtered_and_paged,
        attestations::lookups,
        attestations::queue_figures,
        attestations::the_latest_verdict_stays,
        attestations::a_rescan_goes_on_where_it_was_noted,
        queue::attempts_are_counted_until_signed,
        queue::of_many_who_want_a_record_one_claims_it,
        queue::a_claim_that_was_taken_over_finishes_nothing,
        queue::the_newest_signatures_tell_how_late_they_came,
        queue::the_oldest_comes_first_of_what_is_asked_for,
        proofs::an_address_stands_for_its_parts_in_their_order,
        proofs::only_what_is_signed_is_part_of_a_proof,
        proofs::lists_and_prefixes,
        rest::tokens_come_with_their_events,
        rest::refused_pins_are_kept_by_token,
        rest::tries_of_a_pin_are_counted_until_they_are_answered,
        rest::log_is_filtered_and_trimmed,
        rest::describes_itself,
        rest::of_several_one_leads,
        rest::replicas_are_told_of_until_they_fall_silent,
    );
}
