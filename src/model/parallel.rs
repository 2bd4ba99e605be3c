//! Work on many items, shared between a few threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Most threads of one piece of work: each keeps memory of its own.
const THREADS_MAX: usize = 4;

/// Parts for each thread, so that a slow one takes fewer of them.
const PARTS: usize = 8;

/// What `map` makes of each item, in order. Work on fewer than `least` items is not shared.
///
/// # Panics
/// Where `map` does.
pub fn map<T: Sync, R: Send>(items: &[T], least: usize, map: impl Fn(&T) -> R + Sync) -> Vec<R> {
    // More threads than processors gain nothing. How many there are is asked only where it
    // matters: the answer is read from several files.
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let threads = if items.len() < least { 1 } else { processors().min(THREADS_MAX) };
    if threads == 1 {
        return items.iter().map(map).collect();
    }
    let size = items.len().div_ceil(threads.saturating_mul(PARTS)).max(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done: Vec<(usize, Vec<R>)> = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = items.chunks(size).nth(number) else { return done };
            done.push((number, part.iter().map(&map).collect()));
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for thread in others {
            done.extend(thread.join().unwrap_or_default());
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    let mut done = done.into_iter().peekable();
    let mut all = Vec::with_capacity(items.len());
    for (number, part) in items.chunks(size).enumerate() {
        match done.next_if(|(other, _)| *other == number) {
            Some((_, part)) => all.extend(part),
            // The parts of a thread that died are made up for here, where a panic reaches the
            // caller.
            None => all.extend(part.iter().map(&map)),
        }
    }
    all
}
