//! Messages as [`crate::model::Value`] and back, by the field list of `kind::schema`.
//!
//! Written by hand over protobuf's wire form, because a message that we send must be the same
//! bytes every time (reflection keeps maps in random order), and must keep what we do not know.

mod read;
mod tidy;
mod write;

pub(super) use read::{Raw, RawValue, fields, message};
pub(super) use tidy::tidy;
pub(super) use write::{Keep, write};

/// What is wrong with a message, without its name.
pub(super) type Problem = String;
