//! The identity that is in force, and its replacement when the files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ConnectError;
use super::identity::{Identity, IdentityError, Problem, Source};
use crate::adapter::clock;
use crate::model::{Digest, Timestamp};

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
    /// The authorities of the last identity that its server answered; none, before the first.
    reached: Vec<Digest>,
    /// Why the server that answered the identity in force is not the one that is meant.
    refused: Option<String>,
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
            reached: Vec::new(),
            refused: None,
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

    /// Whether a server has answered these authorities before.
    pub(super) fn has_reached(&self, authorities: &[Digest]) -> bool {
        self.reached == authorities
    }

    /// The server answered this identity; `judged`: whether it is the one that is meant.
    pub(super) fn reach(&mut self, identity: &Identity, judged: &Result<(), String>) {
        match judged {
            Ok(()) => self.reached.clone_from(&identity.authorities),
            Err(why) if self.identity.authorities == identity.authorities => {
                tracing::error!("{why}");
                self.refused = Some(why.clone());
            }
            Err(why) => tracing::error!("{why}"),
        }
    }

    /// Why nothing may be sent, whatever the server says.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.clone()
    }

    /// What is wrong with the identity just now, for people.
    pub(super) fn troubles(&self) -> Vec<String> {
        let expired = self.ended().map(|at| ConnectError::Expired(at).to_string());
        let complaint = Some(self.complaint.clone()).filter(|text| !text.is_empty());
        expired.into_iter().chain(self.refused.clone()).chain(complaint).collect()
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
            Err(error) => return self.complain(self.unusable(&error)),
        };
        if let Some(why) = self.stranger(&new) {
            return self.complain(why);
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
        self.refused = None;
        self.number = self.number.saturating_add(1);
    }

    /// Why a new identity does not follow the one in force: it is of another cluster, whatever its
    /// name. While authorities are rotated one after the other, it has one in common with those
    /// that the server has answered.
    fn stranger(&self, new: &Identity) -> Option<String> {
        let (cluster, old) = (&new.names.cluster, &self.identity.names.cluster);
        let known =
            if self.reached.is_empty() { &self.identity.authorities } else { &self.reached };
        let what = if cluster != old {
            format!("belongs to `{cluster}` and not to `{old}`")
        } else if new.authorities.iter().any(|one| known.contains(one)) {
            return None;
        } else {
            format!(
                "has no authority in common with the one in force: another cluster named `{old}`"
            )
        };
        Some(format!(
            "the new identity {what}; {}; put one of this cluster there, or restart the agent with \
             a state of its own (`state.path`) for the other cluster",
            self.stays()
        ))
    }

    fn unusable(&self, error: &IdentityError) -> String {
        let IdentityError { path, problem } = error;
        let remedy = match problem {
            Problem::Torn(_) | Problem::Pem(_) | Problem::KeyOfAnother => {
                "it is read again until it is whole; if nobody is writing it, sign a new one"
            }
            Problem::Missing
            | Problem::Unreadable(_)
            | Problem::TooOpen(_)
            | Problem::TooLarge
            | Problem::KeyForm(_)
            | Problem::Key
            | Problem::Certificate(_)
            | Problem::Expired(_)
            | Problem::NotYetValid(_)
            | Problem::Authority(_) => problem.remedy(),
        };
        format!("identity `{}`: {problem}; {remedy}; {}", path.display(), self.stays())
    }

    /// What becomes of the identity in force when the new one is none.
    fn stays(&self) -> String {
        match self.ended() {
            Some(at) => format!("the one of before is over since {at}: nothing is sent"),
            None => "the one of before stays in force".to_owned(),
        }
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
