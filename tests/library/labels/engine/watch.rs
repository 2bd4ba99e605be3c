//! What the engine still knows when the watch ends.

use reconciler::engine::{Effect, Event};
use reconciler::journal::State;
use reconciler::labels::resolve::Rules;

use super::super::{reading, resource};
use super::{Bench, RUN, SECOND};
use crate::by_hand::ByHand as _;

/// Why not all of the clusters are known.
fn missing(bench: &Bench) -> Option<String> {
    bench.status().kinds.remove("kube_cluster").unwrap().missing
}

/// The engine is told, and nobody answers what it asks.
fn tell(bench: &mut Bench, event: Event) -> Vec<Effect> {
    let now = bench.now();
    bench.engine.step(now, event)
}

fn lost() -> Event {
    Event::WatchLost("reset".to_owned())
}

/// An agent that is through, whose watch has ended, and that has listed everything since.
fn polling() -> Bench {
    let mut bench = Bench::new(Rules::default(), RUN, State::default());
    bench.start(reading(vec![resource("a", "{}", "{}")]));
    bench.pass(5 * SECOND);
    bench.event(lost());
    assert_eq!(missing(&bench), None);
    bench
}

#[test]
fn a_watch_that_ends_before_its_list_comes_leaves_a_doubt() {
    let mut bench = polling();
    let effects = tell(&mut bench, Event::Renewed);
    let Some(Effect::Watch { kinds }) = effects.into_iter().next() else { panic!("no watch") };
    tell(&mut bench, Event::WatchOpened(kinds));
    assert_eq!(missing(&bench), None, "the list of before stands");
    tell(&mut bench, lost());
    assert_eq!(missing(&bench).as_deref(), Some("the watch ended: reset"));
}

#[test]
fn a_watch_that_never_opened_takes_nothing_away() {
    let mut bench = polling();
    tell(&mut bench, Event::Renewed);
    tell(&mut bench, lost());
    assert_eq!(missing(&bench), None, "it had told of nothing");
}

#[test]
fn a_watch_that_is_replaced_leaves_a_doubt_until_the_list() {
    let mut bench = Bench::new(Rules::default(), RUN, State::default());
    bench.start(reading(vec![resource("a", "{}", "{}")]));
    bench.pass(5 * SECOND);
    tell(&mut bench, Event::Renewed);
    assert_eq!(missing(&bench).as_deref(), Some("the watch is opened anew"));
}
