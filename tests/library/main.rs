//! The parts of the program, each by itself and through the library: what a file means, what is
//! planned, what goes over the wire, what the journal keeps, what the embedded plane answers.

#[path = "../common/agent.rs"]
mod agent;
mod allow;
mod by_hand;
mod client;
mod commands;
mod config;
mod connect;
#[path = "../common/credentials.rs"]
mod credentials;
mod deletes;
mod futile;
mod hazards;
mod identity;
mod journal;
mod kinds;
mod labels;
mod manifests;
mod plane;
mod plans;
mod references;
mod selectors;
mod share;
mod snapshot;
mod wire;
