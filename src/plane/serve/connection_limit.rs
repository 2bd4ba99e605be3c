//! How many connections there may be, and who goes when there are too many.
//!
//! Whoever showed a certificate stays. When all places are taken, the stranger who has been there
//! longest makes room for the newcomer, so that a thousand silent connections keep nobody out.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Most connections at one time, however many files the process may open.
const CONNECTIONS_MAX: usize = 4096;

/// Files that are left for the database, the control socket and all else; of a process that may
/// open few, half of them.
const RESERVE: usize = 128;

/// Longest wait for a connection that was told to make room. Its task only has to run once.
const LEAVE: Duration = Duration::from_secs(1);

/// Between two lines of log about the same trouble.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// The places of one listener.
pub(super) struct Room {
    most: usize,
    free: Arc<Semaphore>,
    strangers: Arc<Mutex<Strangers>>,
    complaint: Mutex<Complaint>,
}

/// Those without a certificate so far, oldest first.
#[derive(Default)]
struct Strangers {
    next: u64,
    here: BTreeMap<u64, CancellationToken>,
}

/// One connection's place; free again when dropped.
pub(super) struct Place {
    number: u64,
    wanted: CancellationToken,
    strangers: Arc<Mutex<Strangers>>,
    _permit: OwnedSemaphorePermit,
}

/// What was said last, and how often it was not said since.
#[derive(Default)]
struct Complaint {
    last: Option<Instant>,
    left_out: u64,
}

impl Room {
    /// As many places as the process may open files, less the reserve.
    pub(super) fn new() -> Self {
        let files = getrlimit(Resource::Nofile).current;
        let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        Self::of(places(files))
    }

    fn of(most: usize) -> Self {
        Self {
            most,
            free: Arc::new(Semaphore::new(most)),
            strangers: Arc::default(),
            complaint: Mutex::default(),
        }
    }

    /// A place for a newcomer; `None`: all are taken by callers who are known.
    pub(super) async fn enter(&self, peer: SocketAddr) -> Option<Place> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_full) => {
                let Some(oldest) = lock(&self.strangers).here.pop_first() else {
                    let most = self.most;
                    self.say(&format!("{most} callers are connected; closing one from {peer}"));
                    return None;
                };
                self.say(&format!(
                    "{} connections are open; the oldest without a certificate \
                    makes room for one from {peer}",
                    self.most
                ));
                oldest.1.cancel();
                let free = Arc::clone(&self.free).acquire_owned();
                tokio::time::timeout(LEAVE, free).await.ok()?.ok()?
            }
        };
        let wanted = CancellationToken::new();
        let mut strangers = lock(&self.strangers);
        let number = strangers.next;
        strangers.next = number.saturating_add(1);
        strangers.here.insert(number, wanted.clone());
        drop(strangers);
        Some(Place { number, wanted, strangers: Arc::clone(&self.strangers), _permit: permit })
    }

    /// Says that a connection could not be taken, and lets the oldest stranger go: what he holds
    /// may be what is missing.
    pub(super) fn failed(&self, error: &io::Error) {
        self.say(&format!("cannot take a connection: {error}"));
        if let Some((_, oldest)) = lock(&self.strangers).here.pop_first() {
            oldest.cancel();
        }
    }

    fn say(&self, text: &str) {
        if let Some(left_out) = lock(&self.complaint).due(Instant::now()) {
            match left_out {
                0 => tracing::warn!("{text}"),
                more => tracing::warn!("{text} (and {more} times more since the last such line)"),
            }
        }
    }
}

impl Complaint {
    /// Whether it is time to say something: how many lines were left out.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < SAY_AGAIN) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Place {
    /// The caller is known: the place is not for others any more.
    pub(super) fn keep(&self) {
        lock(&self.strangers).here.remove(&self.number);
    }

    /// Ends when another is to have the place.
    pub(super) async fn wanted(&self) {
        self.wanted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep();
    }
}

fn places(files: usize) -> usize {
    let reserve = RESERVE.min(files / 2);
    files.saturating_sub(reserve).clamp(1, CONNECTIONS_MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Complaint, Place, Room, SAY_AGAIN, places};

    const PEER: std::net::SocketAddr =
        std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    #[test]
    fn places_leave_files_for_the_rest() {
        let table = [
            (0, 1),
            (1, 1),
            (64, 32),
            (1024, 896),
            (4224, 4096),
            (1 << 20, 4096),
            (usize::MAX, 4096),
        ];
        for (files, most) in table {
            assert_eq!(places(files), most, "{files}");
        }
    }

    #[tokio::test]
    async fn the_oldest_stranger_makes_room() {
        let room = Room::of(3);
        let mut here: Vec<Option<Place>> = Vec::new();
        for _ in 0..3 {
            here.push(Some(room.enter(PEER).await.unwrap()));
        }
        // The first of all has shown who he is: the second is the oldest stranger.
        here[0].as_ref().unwrap().keep();
        let second = here[1].take().unwrap();
        let leaving = async {
            second.wanted().await;
            drop(second);
        };
        let (newcomer, ()) = tokio::join!(room.enter(PEER), leaving);
        newcomer.as_ref().unwrap().keep();
        here[2].as_ref().unwrap().keep();
        assert!(room.enter(PEER).await.is_none(), "known callers are not sent away");
        drop(newcomer);
        assert!(room.enter(PEER).await.is_some(), "a place that was left is free");
    }

    #[tokio::test]
    async fn who_left_is_not_sent_away() {
        let room = Room::of(2);
        let (first, second) = (room.enter(PEER).await.unwrap(), room.enter(PEER).await.unwrap());
        drop(first);
        let third = room.enter(PEER).await.unwrap();
        let leaving = async {
            second.wanted().await;
            drop(second);
        };
        let (fourth, ()) = tokio::join!(room.enter(PEER), leaving);
        assert!(fourth.is_some());
        drop(third);
    }

    #[test]
    fn trouble_is_told_now_and_then() {
        let mut complaint = Complaint::default();
        let start = Instant::now();
        assert_eq!(complaint.due(start), Some(0));
        for milliseconds in [50, 100, 9_999] {
            assert_eq!(complaint.due(start + Duration::from_millis(milliseconds)), None);
        }
        assert_eq!(complaint.due(start + SAY_AGAIN), Some(3));
        assert_eq!(complaint.due(start + SAY_AGAIN * 2), Some(0));
    }
}
