//! The real world: files, disk, network, processes. Deliberately absent: decisions.

pub mod bounded_read;
pub mod clock;
pub mod cluster;
pub mod commands;
pub mod entropy;
pub mod files;
pub mod kubectl;
mod limit;
pub mod lock;
pub mod memory;
pub mod offline;
pub mod sqlite;
pub mod teleport;
pub mod watch;
