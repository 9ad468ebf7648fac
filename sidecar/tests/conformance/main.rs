//! The promises that every store must keep, run over all of them.
//!
//! A promise is an `async fn(&impl Subject)` in one of the files beside this one, and a name in the list below. `now`
//! is always passed: no promise waits for a clock. A store joins with a [`Subject`] and one line of `conformance!`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
#![allow(clippy::indexing_slicing, reason = "tests fail loudly")]
#![allow(clippy::cognitive_complexity, reason = "a straight line of awaits and asserts counts as branches")]
#![allow(unreachable_pub, missing_docs, reason = "a promise's name is its documentation")]

mod accepting;
mod ahead;
mod durability;
mod expiring;
mod finding;
mod fixture;
mod history;
mod ledger;
mod lines;
mod ordering;
#[path = "../support/redis_server.rs"]
#[expect(dead_code, reason = "another suite uses the rest")]
mod redis_server;
mod registry;
mod replaying;
mod retaining;
mod sealing;
mod settling;
mod steps;
mod subject;
mod taking;
mod vitals;

/// Every promise over one store.
macro_rules! conformance {
    ($store:ident, $subject:ty) => {
        mod $store {
            conformance!(@ $subject, accepting:
                a_known_key_answers_the_first_result
                a_duplicate_inside_one_batch_counts_once
                a_batch_over_max_pending_writes_nothing
                room_comes_back_with_every_finished_delivery
                an_event_goes_to_the_matching_endpoints_of_its_tenant
                an_endpoint_with_a_filter_gets_what_fits_it
                one_event_for_a_thousand_endpoints_is_all_or_nothing
                an_event_nobody_wants_is_kept_and_known
                an_idempotency_window_ends
                of_two_known_keys_the_first_named_answers
                one_key_offered_at_once_by_many_is_accepted_once
                accepts_at_once_are_each_answered_for_themselves
                every_byte_and_field_of_an_event_is_kept
                an_accept_wakes_who_waits
                a_scheduled_event_waits_for_its_moment
                a_scheduled_event_is_overtaken_by_what_is_due
                a_scheduled_event_wakes_who_would_sleep_through_it
                a_scheduled_delivery_can_be_sent_at_once_by_hand
            );
            conformance!(@ $subject, taking:
                a_lease_holds_all_that_an_attempt_needs
                no_more_is_leased_than_there_is_room_for
                one_delivery_is_never_leased_twice_at_once
                an_endpoint_has_at_most_max_in_flight
                an_endpoint_is_offered_no_more_than_its_rate_limit
                a_disabled_endpoint_waits_and_an_enabled_one_wakes
                a_paused_endpoint_gets_events_that_wait
                an_endpoint_enabled_anew_has_never_failed
                a_backlog_does_not_delay_the_others
                one_endpoint_is_served_in_order_of_due_time
                many_endpoints_are_not_many_shares
                retries_do_not_drown_first_attempts
                next_tells_when_to_look_again
                a_breaker_makes_deliveries_wait_and_costs_no_attempt
                a_straggler_does_not_close_a_breaker
            );
            conformance!(@ $subject, ahead:
                what_comes_while_a_worker_waits_is_leased_once
                a_waiting_worker_gets_what_it_has_room_for
                an_endpoints_limits_hold_for_a_waiting_worker
                an_open_breaker_holds_for_a_waiting_worker
                a_lease_for_a_waiting_worker_ends_like_any_other
                nothing_that_waits_is_overtaken_for_a_waiting_worker
            );
            conformance!(@ $subject, settling:
                a_success_delivers
                a_retry_waits_until_its_moment
                a_dead_letter_stays_dead
                a_returned_lease_is_due_at_once_and_counts_nothing
                a_delivery_that_is_given_up_is_dead_without_an_attempt
                a_probe_that_is_given_up_leaves_its_turn_to_the_next
                an_ended_lease_is_reclaimed_once
                a_late_result_changes_nothing
                a_result_settled_twice_counts_once
                results_are_answered_in_order
                every_turn_of_an_endpoint_is_told_once
                a_finished_attempt_frees_its_place_and_wakes
                the_latest_hundred_attempts_are_kept
                a_retry_by_hand_starts_a_fresh_schedule
                a_retry_by_hand_leaves_an_attempt_alone
                the_census_is_exact_at_every_step
            );
            conformance!(@ $subject, expiring:
                what_expires_while_it_waits_is_a_dead_letter
                what_expires_in_an_attempt_is_left_to_its_result
            );
            conformance!(@ $subject, ordering:
                an_ordered_endpoint_is_served_strictly_in_order
                whatever_ends_a_head_the_next_one_is_due
                keys_do_not_wait_for_each_other
                endpoints_do_not_wait_for_each_other
                many_workers_keep_every_line_in_order
                a_lease_of_a_head_that_ended_is_taken_again_before_the_next
                a_scheduled_event_keeps_its_place
                a_line_waits_with_its_endpoint
                a_head_is_the_probe_of_its_endpoint
                a_worker_that_waits_gets_the_head_and_no_more
            );
            conformance!(@ $subject, lines:
                what_expires_in_a_line_leaves_it
                what_is_retried_by_hand_joins_the_end_of_its_line
                what_is_replayed_joins_the_end_of_its_line
                a_deleted_endpoint_buries_its_lines
                an_ordering_that_changes_counts_for_what_comes
            );
            conformance!(@ $subject, vitals:
                any_trajectory_is_the_pure_one
                a_share_of_failures_opens_a_breaker
                retry_after_holds_the_whole_endpoint
                overload_halves_what_is_tried_at_once
                a_recovered_endpoint_is_served_by_a_ramp_in_order_of_due_time
            );
            conformance!(@ $subject, registry:
                a_put_demands_what_it_says
                another_tenants_endpoint_cannot_be_put
                endpoints_are_paged_completely
                a_deleted_endpoint_leaves_dead_letters
                a_deleted_endpoints_name_can_be_used_again
            );
            conformance!(@ $subject, ledger:
                what_is_not_there_is_none
                events_are_paged_newest_first
                deliveries_are_paged_by_every_filter
                a_listing_is_stable_while_events_arrive
                a_foreign_cursor_is_refused
                retention_trims_what_is_finished_and_nothing_else
            );
            conformance!(@ $subject, retaining:
                dead_letters_have_a_time_of_their_own
                attempts_are_forgotten_before_their_delivery
                a_payload_is_forgotten_when_all_its_deliveries_are_over_for_long
                what_lost_its_payload_is_not_sent_again
                a_payload_waits_for_what_is_forgotten_before_it
                a_clock_that_jumps_back_keeps_nothing_for_longer
                many_that_ended_at_once_are_all_walked
            );
            conformance!(@ $subject, finding:
                deliveries_are_found_by_reason_type_and_time
                events_are_found_by_type_and_time
                a_purge_forgets_dead_letters_and_nothing_else
            );
            conformance!(@ $subject, replaying:
                a_step_is_done_by_who_knew_the_one_before_it
                a_step_makes_due_what_is_finished_and_counts_the_rest
                an_event_is_sent_at_last_to_who_never_got_it_once
                a_step_that_finds_no_room_does_nothing
                replays_are_listed_until_they_are_old
            );
            conformance!(@ $subject, history:
                any_history_is_what_a_simple_model_makes_of_it
                any_history_is_that_with_a_worker_that_waits
            );
        }
    };
    (@ $subject:ty, $room:ident: $($promise:ident)*) => {
        mod $room {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let subject = <$subject as crate::subject::Subject>::start().await;
                    crate::$room::$promise(&subject).await;
                }
            )*
        }
    };
}

/// What a store that outlives its process promises besides.
macro_rules! durability {
    ($store:ident, $subject:ty) => {
        mod $store {
            conformance!(@ $subject, durability:
                a_store_opened_again_has_everything
                a_lease_from_before_is_lost_and_its_delivery_due
                a_known_key_is_known_after_opening_again
                a_disabled_endpoint_is_disabled_after_opening_again
            );
            conformance!(@ $subject, lines:
                lines_are_in_order_after_opening_again
            );
            conformance!(@ $subject, retaining:
                what_is_forgotten_stays_so_after_opening_again
            );
            conformance!(@ $subject, sealing:
                secrets_are_kept_sealed_and_attempts_have_them
                a_new_first_key_seals_everything_again
                a_key_that_is_missing_is_named_and_may_come_back
            );
            conformance!(@ $subject, history:
                any_history_survives_opening_again
            );
        }
    };
}

/// What takes long, over one store of each kind.
macro_rules! crowds {
    ($store:ident, $subject:ty) => {
        mod $store {
            conformance!(@ $subject, vitals:
                fifty_thousand_retries_of_one_second_are_served_by_a_ramp
            );
        }
    };
}

conformance!(embedded_memory, crate::subject::Memory);
conformance!(embedded_file, crate::subject::File);
durability!(embedded_file_reopened, crate::subject::File);
conformance!(redis, crate::subject::Redis);
durability!(redis_reopened, crate::subject::Redis);
conformance!(redis_cluster, crate::subject::RedisCluster);
durability!(redis_cluster_reopened, crate::subject::RedisCluster);
crowds!(embedded_crowded, crate::subject::Memory);
crowds!(redis_crowded, crate::subject::Redis);
