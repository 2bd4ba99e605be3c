//! What is to come, and in which phase.

use crate::engine::{Effect, Event};
use crate::model::KindName;

/// What is to come.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// The engine is told, if it is still the same life.
    Tell(u64, Box<Event>),
    /// An effect reaches the world.
    Perform(u64, Box<Effect>),
    /// Something happens by itself.
    Chaos,
    /// One slice of a removal, and how many are left.
    Slice(u32),
    /// A person looks at what waits for approval.
    Person,
    /// A crashed or stopped engine starts again.
    Restart(u64),
    /// The request for the watch of that number reaches the plane, if it is still the one: who
    /// asks for another takes it back.
    Watch(u64, Vec<KindName>),
    /// That watch says something, if it is still the one.
    Watched(u64, Box<Event>),
    /// A new identity comes.
    Renew,
    /// Something happens to a label's command.
    Labels,
    /// The plane does what is due.
    Tick,
}

/// The phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Chaos,
    /// A single pass.
    Once,
    Calm,
    Silence,
}

impl Phase {
    /// Whether calls fail.
    pub(super) const fn is_faulty(self) -> bool {
        match self {
            Self::Chaos | Self::Once => true,
            Self::Calm | Self::Silence => false,
        }
    }
}
