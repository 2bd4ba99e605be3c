//! `reconciler` keeps a Teleport installation equal to a directory of YAML manifests.

pub mod adapter;
pub mod cli;
pub mod config;
pub mod driver;
pub mod engine;
pub mod journal;
pub mod kind;
pub mod live;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod plane;
pub mod port;
pub mod sim;
pub mod wire;
