//! The one async loop: events in, effects out.
