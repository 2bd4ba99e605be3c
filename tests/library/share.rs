//! Work that is shared between threads: everything is done, once, and stays in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use reconciler::model::parallel;

/// Fewest items that are shared here.
const LEAST: usize = 4;

#[test]
fn each_item_once_and_in_order() {
    for count in [0, 1, 3, 4, 5, 15, 16, 17, 31, 33, 1000, 1001] {
        let items: Vec<usize> = (0..count).collect();
        let calls = AtomicUsize::new(0);
        let results = parallel::map(&items, LEAST, |item| {
            calls.fetch_add(1, Ordering::Relaxed);
            item * 2
        });
        assert_eq!(results, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(calls.into_inner(), count);
    }
}

#[test]
fn what_another_thread_died_of_is_done_again_or_told() {
    let items: Vec<usize> = (0..1000).collect();
    let here = thread::current().id();
    // Dies in other threads only: their parts are made up for.
    let survived = parallel::map(&items, LEAST, |item| {
        assert_eq!(thread::current().id(), here, "planted");
        *item
    });
    assert_eq!(survived, items);
    // Dies wherever it runs.
    let died = catch_unwind(AssertUnwindSafe(|| {
        parallel::map(&items, LEAST, |item| assert_ne!(*item, 700, "planted"))
    }));
    assert!(died.is_err());
}
