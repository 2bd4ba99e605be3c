//! Which fault is covered where. `sim NAME` is a fault of the simulator, which counts how often it
//! struck (`tests/sim.rs` demands it); `FILE FUNCTION` is a test, or a part of one.
//!
//! Left out: a name whose address changes its family, because few machines that run tests have
//! both; and a single event that is lost from a stream that goes on, which HTTP/2 cannot lose.

use std::fs;
use std::path::Path;

/// Point, fault, and where it is covered.
pub(crate) const FAULTS: &[(&str, &str, &[&str])] = &[
    (
        "list",
        "an error, each code",
        &[
            "sim list failed",
            "library/wire/remote.rs every_code_of_the_server_has_its_meaning",
            "library/wire/listing.rs what_was_seen_before_an_error_stays",
        ],
    ),
    (
        "list",
        "timeout, slow",
        &["library/wire/remote.rs a_deadline_ends_the_wait_and_leaves_the_doubt"],
    ),
    (
        "list",
        "cut in the middle",
        &["sim list cut", "library/wire/listing.rs what_was_seen_before_an_error_stays"],
    ),
    ("list", "short pages", &["library/wire/listing.rs pages_are_followed_to_the_end"]),
    (
        "list",
        "an item twice, or moved between pages",
        &["library/wire/listing.rs a_resource_that_moved_between_pages_is_seen_once"],
    ),
    ("list", "an item deleted meanwhile", &["sim foreign delete"]),
    (
        "list",
        "the same token for ever",
        &["library/wire/listing.rs a_page_that_comes_again_ends_the_list"],
    ),
    (
        "list",
        "pages without an end",
        &["library/wire/listing.rs a_list_without_an_end_is_given_up"],
    ),
    (
        "list",
        "pages of megabytes",
        &["library/wire/listing.rs a_plane_with_many_roles_is_listed_whole"],
    ),
    (
        "list",
        "unknown fields",
        &["library/wire/listing.rs a_field_of_a_newer_server_is_no_trouble_and_is_kept"],
    ),
    (
        "list",
        "an unreadable item",
        &["library/wire/listing.rs one_broken_resource_makes_the_list_partial_and_hides_no_other"],
    ),
    (
        "watch",
        "refused, closed, reset",
        &[
            "sim watch refused",
            "sim watch reset",
            "library/wire/remote.rs a_watch_ends_as_the_server_ends_it",
        ],
    ),
    ("watch", "half-open", &["program/faults/cuts.rs a_peer_that_is_gone_without_a_word"]),
    (
        "watch",
        "no INIT",
        &[
            "sim watch silent",
            "../src/driver/watching.rs a_watch_that_is_never_opened_ends_and_a_quiet_one_does_not",
        ],
    ),
    ("watch", "late events, late INIT", &["sim watch event late"]),
    ("watch", "an event twice", &["sim watch event twice"]),
    ("watch", "events lost with the stream", &["sim watch reset", "sim crash"]),
    (
        "watch",
        "more events than are read",
        &[
            "library/plane/behaviour.rs a_watch_that_is_not_read_ends",
            "library/wire/remote.rs a_slow_watch_stays_open_and_unread_messages_are_kept",
        ],
    ),
    ("watch", "older than what is known", &["sim lag change"]),
    (
        "write",
        "an error before the effect",
        &[
            "sim fault internal",
            "sim fault invalid argument",
            "sim fault no answer, not done",
            "sim fault unknown",
        ],
    ),
    (
        "write",
        "the effect, then an error",
        &[
            "sim fault answer lost, done",
            "program/faults/cuts.rs a_lost_answer_is_read_back_and_not_asked_for_again",
            "program/faults/cuts.rs a_reset_in_the_middle_of_a_record",
        ],
    ),
    ("write", "a repeat would be seen", &["program/faults/cuts.rs a_blind_repeat_is_seen"]),
    ("write", "done after its sender died", &["sim write after crash"]),
    ("write", "an own earlier write is met", &["sim write met AlreadyExists"]),
    (
        "write",
        "another revision",
        &[
            "sim fault failed precondition",
            "library/wire/writing.rs a_compared_write_is_bound_to_the_revision_of_the_plan",
        ],
    ),
    (
        "write",
        "a delete of what is not there",
        &["library/wire/writing.rs a_create_meets_what_is_there_and_a_delete_what_is_not"],
    ),
    ("write", "too many calls", &["sim fault resource exhausted"]),
    (
        "write",
        "not allowed",
        &[
            "sim fault permission denied",
            "library/client/once.rs a_kind_that_may_not_be_listed_ends_the_pass_when_the_rest_is_done",
        ],
    ),
    (
        "write",
        "defaults added by the server",
        &["library/wire/edits.rs what_means_the_same_is_no_edit"],
    ),
    ("write", "a person's edit follows", &["sim drift", "sim mark taken"]),
    (
        "connection",
        "refused",
        &[
            "sim fault unavailable",
            "library/connect.rs each_obstacle_has_its_own_words",
            "program/faults/cuts.rs tries_are_few_while_nobody_is_there",
        ],
    ),
    ("connection", "no such host", &["program/faults/cuts.rs a_name_that_leads_nowhere"]),
    (
        "connection",
        "HTTP/2 flow control stalls",
        &[
            "library/wire/remote.rs a_deadline_ends_the_wait_and_leaves_the_doubt",
            "library/wire/remote.rs a_slow_watch_stays_open_and_unread_messages_are_kept",
        ],
    ),
    (
        "connection",
        "cut before the request arrives",
        &["program/faults/cuts.rs a_request_that_did_not_arrive_is_done_once"],
    ),
    (
        "connection",
        "cut in the middle of much",
        &["program/faults/cuts.rs cutting_the_connection_in_the_middle_of_200_creates"],
    ),
    (
        "connection",
        "reset in the middle of a frame",
        &["program/faults/cuts.rs a_reset_in_the_middle_of_a_record"],
    ),
    ("connection", "garbage", &["program/faults/cuts.rs bytes_that_are_no_tls"]),
    ("connection", "slow", &["program/faults/cuts.rs one_byte_at_a_time"]),
    (
        "connection",
        "a stall, no answer to keepalive",
        &[
            "program/faults/cuts.rs a_peer_that_is_gone_without_a_word",
            "program/faults/cuts.rs a_connection_on_which_nobody_speaks",
        ],
    ),
    (
        "connection",
        "GOAWAY with calls in flight",
        &["program/faults/restarts.rs a_server_that_says_goodbye_with_calls_in_flight"],
    ),
    (
        "connection",
        "the server killed and restarted",
        &["program/faults/restarts.rs killing_the_server_in_the_middle_of_200_creates"],
    ),
    (
        "connection",
        "a server of another version",
        &["library/client/lists.rs a_server_without_the_new_call_is_asked_for_it_once"],
    ),
    (
        "connection",
        "TLS: another authority, another cluster, no trust",
        &[
            "library/connect.rs each_obstacle_has_its_own_words",
            "program/serve.rs wrong_certificates_end_the_handshake",
        ],
    ),
    (
        "connection",
        "TLS: expired, not yet valid",
        &[
            "program/serve.rs wrong_certificates_end_the_handshake",
            "library/connect/expiry.rs after_the_end_nothing_is_dialled",
        ],
    ),
    (
        "connection",
        "TLS: another name",
        &["program/serve.rs every_way_to_name_the_server_is_verified"],
    ),
    ("connection", "HTML of a proxy", &["library/wire/remote.rs the_page_of_a_proxy_is_no_answer"]),
    (
        "credential",
        "missing, a directory, readable by all, key of another, expired",
        &["library/identity.rs every_way_to_be_wrong_says_which"],
    ),
    (
        "credential",
        "empty, half written, swapped while it is read",
        &[
            "library/identity.rs a_file_cut_anywhere_is_torn_or_whole",
            "library/connect.rs a_new_identity_is_taken_and_a_torn_one_is_not",
        ],
    ),
    (
        "credential",
        "exchanged in the middle",
        &[
            "sim identity renewed",
            "program/faults/restarts.rs rotating_the_identity_in_the_middle_of_200_creates",
            "library/connect/expiry.rs the_watch_moves_before_the_old_identity_ends",
        ],
    ),
    (
        "credential",
        "expired in the middle",
        &[
            "sim identity expired",
            "program/faults/restarts.rs an_identity_that_ends_before_the_answer_comes",
            "library/connect/expiry.rs an_identity_that_ends_stops_everything_until_there_is_a_new_one",
        ],
    ),
];

#[test]
fn what_the_table_names_is_there() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let read = |file: &str| fs::read_to_string(tests.join(file)).unwrap_or_default();
    let simulated = read("sim.rs");
    let expected = simulated.split_once("const EXPECTED").unwrap().1.split_once("];").unwrap().0;
    let mut missing = Vec::new();
    for (point, fault, places) in FAULTS {
        assert!(!places.is_empty(), "{point}: {fault}");
        for place in *places {
            let (file, name) = place.split_once(' ').unwrap();
            let is_there = match file {
                "sim" => expected.contains(&format!("\"{name}\"")),
                file => read(file).contains(&format!("fn {name}(")),
            };
            if !is_there {
                missing.push(*place);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
