//! `reconciler` keeps a Teleport installation equal to a directory of YAML manifests.
//!
//! The way of one manifest: [`adapter::files`] reads one consistent snapshot → [`manifest::yaml`]
//! makes a tree that knows its places → [`manifest::decode`] checks it against the kind table and
//! brings it to canonical form → [`plan::planner`] compares it with what [`live`] knows and what
//! the [`journal`] says is ours → [`plan::guard`] holds back what a person or time must allow →
//! [`plan::check`] goes over the plan with code of its own → [`engine`] puts the intent into the
//! journal and asks for one write → [`driver`] performs it through [`port::calls::write`] and
//! [`adapter::cluster`] → the outcome goes into the journal, and the resource is *settling* until
//! a read shows it.
//!
//! # What is deliberately absent
//!
//! Each folder's header says what never happens in it; `tests/tidy.rs` reads every `crate::` path
//! and keeps these borders. The middle (`model`, `kind`, `manifest`, `plan`, `engine`, `journal`)
//! knows no files, clocks, sockets, tasks or randomness. [`plane`] shares nothing with the code
//! that it judges but the messages in [`wire`] and the words in [`model`].
//!
//! # Choices where the documentation of Teleport is silent
//!
//! - A document that cannot be understood freezes what it declared; while there is one, nothing
//!   is pruned anywhere, because what seems gone may have moved into it.
//! - First contact with a live resource of the same name: it is adopted if it bears no mark, has
//!   no foreign origin and is no preset of Teleport; `reconciler/adopt` says otherwise. An
//!   adoption that changes nothing is written to the journal alone.
//! - What cannot change (`workload_cluster`; a trusted cluster's token and addresses) is reported
//!   as deferred with the fields that differ, never deleted and made again by itself.
//! - A lost journal: what bears our mark and is declared is ours again; nothing else is pruned.
//! - Read-only commands work on copies of the state and leave no trace; `--dry-run` without a
//!   state says that it saw no journal.
//! - Secrets in the journal are keyed fingerprints; the key lies in the state (mode 0600).
//! - A name that is a secret (a token of the join method `token`) is nowhere in an id: its
//!   fingerprint stands there, 64 bits wide, and calls take the name from the resource. A name is
//!   one as soon as manifest, cluster or journal says so ([`model::Veil`]).
//! - Files below `children/NAME/` describe the inside of a workload cluster and are left out, with
//!   a warning, until children are managed.
//! - `--dry-run` exits 3 when something in the plan would wait for approval, 1 when a manifest has
//!   an error (the plan of the rest is printed), 2 for changes when `--detailed-exitcode` is given.
//! - A `kube_cluster` that no selector matches is taken for one that is not declared: it is deleted
//!   if it is ours, after the pending period, and left alone otherwise. One of which nobody can
//!   say, because a label's command has not given a value yet, is neither created, changed nor
//!   deleted.
//! - The `result` of a dynamic label in a manifest counts only in mode `forward`, as long as its
//!   command may not run here; the last good value of our own run replaces it.
//! - A dynamic label hides a static one of the same key, in both modes, as it does in Teleport.
//! - A command whose value cannot change anything, because the static labels alone rule every
//!   selector out, is not run.
//! - The period of a label counts from the start of a run, a tenth more or less. Of labels that
//!   share a command the shortest period counts. A value is planned with a quarter of a second
//!   after it came, because many come at a time.
//! - A failed run is no value, and no reason to unregister anything (`keep-last`); with `drop` the
//!   label is not there until the command works again, and the ordinary pending period is all
//!   that stands between a failure and the deletion. Values that no manifest has named for a week
//!   are forgotten.
//! - Agents of different names share a directory. A cluster that moves from one to the other is
//!   deleted by the one, after its pending period, and then created by the other: for a moment it
//!   is nobody's, and at no time do two claim it.
//! - A cluster that exists and is hidden from our identity (`AlreadyExists`, then `AccessDenied`)
//!   is reported once and tried again after ten minutes, or when its manifest changes.
//! - A command's descendant that makes a session of its own leaves the process group: it is the
//!   service manager's. After `kill -9` of the agent a small process that was started beside the
//!   first command (`adapter::commands`) kills the groups of running ones; it is told of each
//!   right after its start, so that an agent killed between the two leaves that one behind.
//! - A write that does not last is not repeated every second: what a person changed is changed back
//!   at once, twice within minutes, and then later each time, up to five minutes. What reads never
//!   show, with the same difference three times in a row, is held for ten minutes, or until the
//!   manifest or the live resource changes; the status and the log name the fields. A single pass
//!   ends then, with exit code 1. What refers to it goes on. A new life of the agent begins anew.
//! - A manifest with a field that the server's version is known not to have is not written at all:
//!   the server would drop the field without a word, and a `deny` with it. Servers tell their
//!   version with each answer; of one newer than what we know nothing is assumed.
//! - The embedded plane pretends that a trusted cluster's root answers and accepts the token; it
//!   has no second cluster to ask.

pub mod adapter;
pub mod cli;
pub mod config;
pub mod driver;
pub mod engine;
pub mod journal;
pub mod kind;
pub mod labels;
pub mod live;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod plane;
pub mod port;
pub mod sim;
pub mod wire;
