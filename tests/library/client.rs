//! What the agent asks of a control plane, and how often: counted at the plane's own counters,
//! through the client that production uses.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::format_push_string,
    reason = "test code"
)]

mod budgets;
mod keeps;
mod lists;
mod once;
mod refusals;
mod uses;

use std::collections::BTreeMap;
use std::sync::Arc;

use reconciler::adapter::clock::System;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::teleport::Link;
use reconciler::plane::status::{Status, code};
use reconciler::plane::{Fault, Plane, Settings};
use reconciler::port::Clock as _;

/// A plane in memory.
fn plane() -> Plane {
    let clock = System::start();
    let settings = Settings { enterprise: true, ..Settings::default() };
    Plane::open(settings, None, Arc::new(move || clock.now())).unwrap()
}

/// The client before it.
fn client(plane: &Plane) -> Remote<Link> {
    Remote::new(Link::fixed(plane.in_process().unwrap()))
}

/// Calls by the last word of their path.
fn calls(plane: &Plane) -> BTreeMap<String, u64> {
    let counters = plane.with_core(|core| core.counters().clone()).unwrap();
    let word = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    counters.iter().map(|(path, it)| (word(path), it.calls)).collect()
}

/// What was called since, and how often.
fn since(before: &BTreeMap<String, u64>, plane: &Plane) -> BTreeMap<String, u64> {
    let mut now = calls(plane);
    now.retain(|path, calls| {
        *calls -= before.get(path).copied().unwrap_or(0);
        *calls > 0
    });
    now
}

/// Every call of a method fails from now on.
fn fail(plane: &Plane, path: &str, code: i32) {
    let status = Status::new(code, "on demand");
    let fault = Fault::Fail { times: u32::MAX, status };
    plane.with_core(|core| core.faults_mut().set(path, fault)).unwrap();
}

/// The method is not there.
fn lacks(plane: &Plane, path: &str) {
    fail(plane, path, code::UNIMPLEMENTED);
}

fn role(name: &str) -> String {
    format!(
        "kind: role\nversion: v7\nmetadata: {{name: {name}}}\nspec: {{allow: {{logins: [x]}}}}\n"
    )
}

fn kube(name: &str) -> String {
    format!("kind: kube_cluster\nversion: v3\nmetadata: {{name: {name}}}\nspec: {{}}\n")
}

fn user(name: &str) -> String {
    format!("kind: user\nversion: v2\nmetadata: {{name: {name}}}\nspec: {{roles: [access]}}\n")
}
