//! The embedded control plane: Teleport's API for our kinds, from recorded behaviour.
//!
//! `core` is a synchronous state machine around `store` and `rules`; `disk` keeps its changes,
//! `serve` puts it behind gRPC. It is an oracle: it shares only the messages and the words of
//! `model` with the agent, and decides everything else by itself.
//!
//! Deliberately absent: anything of `plan`, `engine`, `live`, `manifest`, `kind`.

pub mod ca;
pub mod core;
pub mod disk;
pub mod faults;
pub mod rules;
pub mod serve;
pub mod settings;
pub mod status;
pub mod store;
mod watch;

pub use self::core::{Answer, Core, Counters, WatchId, WatchPoll};
pub use faults::{Fault, Faults, Moment};
pub use serve::{ListenError, MINT, MintRequest, Minted, Plane, PlaneError};
pub use settings::{Authority, Caller, Dropped, KubeService, Settings, Trust};
pub use status::Status;
pub use store::{Change, Item, Key};
