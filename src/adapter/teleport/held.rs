//! The identity that is in force, and its replacement when the files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::identity::{Identity, IdentityError, Source};
use crate::adapter::clock;
use crate::model::Timestamp;

/// Time between two looks at the files, so that a busy agent does not ask for each call.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Share of its life after which an identity should have been renewed: `tbot` does it at a third.
const RENEWED_BY: (i64, i64) = (2, 3);

/// What tells that a file changed: `tbot` truncates and writes in place, others rename over it.
type Stamp = Option<(u64, u64, i64, i64)>;

/// The identity in force. A file that is torn, or two that do not fit, change nothing.
#[derive(Debug)]
pub(super) struct Held {
    source: Source,
    identity: Arc<Identity>,
    stamps: Vec<Stamp>,
    looked: Instant,
    /// The last complaint, so that it is said once.
    complaint: String,
    /// It grows with each change of what is in force.
    number: u64,
    /// The identity in force has ended.
    is_over: bool,
}

impl Held {
    pub(super) fn load(source: Source) -> Result<Self, IdentityError> {
        let stamps = stamps(&source);
        let identity = Arc::new(Identity::load(&source, clock::wall())?);
        Ok(Self {
            source,
            identity,
            stamps,
            looked: Instant::now(),
            complaint: String::new(),
            number: 0,
            is_over: false,
        })
    }

    /// The identity in force.
    pub(super) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity)
    }

    /// Looks at the files, if it is time. The number of what is in force: it grows when a new
    /// identity comes, and when one ends without a successor.
    pub(super) fn look(&mut self) -> u64 {
        self.end(clock::wall());
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.renew();
        }
        self.number
    }

    /// When the identity in force ended; nothing may be sent with it.
    pub(super) fn ended(&self) -> Option<Timestamp> {
        self.is_over.then_some(self.identity.names.not_after)
    }

    fn end(&mut self, now: Timestamp) {
        let at = self.identity.names.not_after;
        if now >= at && !self.is_over {
            self.is_over = true;
            self.number = self.number.saturating_add(1);
            tracing::error!(
                "identity expired at {at} and was not renewed: nothing is sent until a new one is \
                 there"
            );
        }
    }

    fn renew(&mut self) {
        let stamps = stamps(&self.source);
        if stamps == self.stamps {
            self.warn_of_the_end(clock::wall());
            return;
        }
        let new = match Identity::load(&self.source, clock::wall()) {
            Ok(new) => new,
            // The stamps stay old: it is tried again until it is whole.
            Err(error) => {
                self.complain(format!("{error}; the identity of before stays in force"));
                return;
            }
        };
        if new.names.cluster != self.identity.names.cluster {
            let (new, old) = (&new.names.cluster, &self.identity.names.cluster);
            self.complain(format!(
                "the new identity belongs to `{new}` and not to `{old}`: the one of before stays \
                 in force; restart the agent with another state for another cluster"
            ));
            return;
        }
        self.stamps = stamps;
        self.complaint.clear();
        let same = new.certified.cert == self.identity.certified.cert
            && new.authorities == self.identity.authorities;
        if same {
            return;
        }
        tracing::info!(
            "a new identity of `{}` is in force, until {}",
            new.names.user,
            new.names.not_after
        );
        self.identity = Arc::new(new);
        self.is_over = false;
        self.number = self.number.saturating_add(1);
    }

    fn warn_of_the_end(&mut self, now: Timestamp) {
        let names = &self.identity.names;
        let life = names.not_after.0.saturating_sub(names.not_before.0);
        let (share, of) = RENEWED_BY;
        let renewed_by = names.not_before.0.saturating_add(life / of * share);
        if !self.is_over && now.0 >= renewed_by {
            self.complain(format!(
                "the identity ends at {} and was not renewed yet",
                self.identity.names.not_after
            ));
        }
    }

    fn complain(&mut self, text: String) {
        if self.complaint != text {
            tracing::warn!("{text}");
            self.complaint = text;
        }
    }
}

fn stamps(source: &Source) -> Vec<Stamp> {
    source.paths().into_iter().map(stamp).collect()
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}
