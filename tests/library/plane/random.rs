//! Whatever the bytes are, there is an answer.

use proptest::prelude::*;
use reconciler::plane::core::WATCH_EVENTS;
use reconciler::plane::{Caller, Settings, rules};

use super::support::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_to_any_method(bodies in proptest::collection::vec(any::<Vec<u8>>(), 4)) {
        let mut world = World::new(Settings::default());
        for path in rules::paths().chain([WATCH_EVENTS, "", "/", "//", "x"]) {
            for body in &bodies {
                let _answered = world.raw(path, body);
                let _opened = world.core.subscribe(world.now, &Caller::admin(), body);
            }
        }
    }

    /// Bytes that look more like messages: strings in fields, messages in messages.
    #[test]
    fn any_fields_to_any_method(
        fields in proptest::collection::vec((1_u8..16, 0_u8..6, "\\PC{0,12}"), 0..6),
        depth in 0_usize..4,
    ) {
        let mut body = Vec::new();
        for (number, wire, text) in &fields {
            body.push(number << 3 | wire);
            if *wire == 2 {
                body.push(u8::try_from(text.len()).unwrap());
            }
            body.extend(text.as_bytes());
        }
        for number in 0..depth {
            if let Ok(length) = u8::try_from(body.len()) && length < 128 {
                let mut outer = vec![u8::try_from(number + 1).unwrap() << 3 | 2, length];
                outer.append(&mut body);
                body = outer;
            }
        }
        let mut world = World::new(Settings::default());
        for path in rules::paths() {
            let _answered = world.raw(path, &body);
        }
    }
}

/// A request without its resource ended the real server; each of ours refuses it in words.
#[test]
fn empty_bodies_are_refused() {
    let mut world = World::new(Settings::default());
    // A challenge is asked for by an empty message too.
    for path in rules::paths().filter(|path| !path.ends_with("Challenge")) {
        let writes = ["Create", "Update", "Upsert"].iter().any(|verb| path.contains(verb));
        let result = world.raw(path, b"");
        assert!(!writes || result.is_err(), "{path} accepted nothing at all");
        if let Err(status) = result {
            assert!(!status.message.is_empty(), "{path}");
        }
    }
}
