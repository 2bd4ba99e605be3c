//! `reconciler` keeps a Teleport installation in sync with a directory of YAML manifests. What it
//! does, its commands and its configuration are in `README.md`; here is how the code is laid out,
//! and what was chosen where nothing prescribed it.
//!
//! # The way of one manifest
//!
//! 1. [`adapter::files`] reads one consistent snapshot of the source.
//! 2. [`manifest::yaml`] makes a tree of each document that knows its places; [`manifest::decode`]
//!    checks it against the kind table and brings it to canonical form.
//! 3. [`labels::resolve`] puts the values of dynamic labels in, and decides which clusters the
//!    selectors mean: this is the desired state.
//! 4. [`plan::planner`] compares it with what [`live`] knows and what the [`journal`] says is ours.
//! 5. [`plan::check`] goes over the plan with code of its own; [`plan::guard`] holds back what time
//!    or a person must allow.
//! 6. [`engine`] puts the intent into the journal and asks for one write.
//! 7. [`driver`] performs it through [`port::calls`] and [`adapter::cluster`].
//! 8. The outcome goes into the journal, and the resource is *settling* until a read shows it.
//!
//! # What is deliberately absent
//!
//! Each folder's header says what never happens in it; `tests/tidy.rs` parses the code and keeps
//! these borders, which have no circles. The middle (`model`, `kind`, `manifest`, `labels`, `live`,
//! `plan`, `engine`, `journal`) knows no files, clocks, sockets, tasks or randomness. [`plane`]
//! shares nothing with the code that it judges but the messages in [`wire`] and the words in
//! [`model`].
//!
//! # Choices
//!
//! Where the documentation of Teleport and the contract of this project are silent.
//!
//! ## Manifests and ownership
//!
//! - A document that cannot be understood freezes what it declared. While there is one, nothing is
//!   pruned anywhere, because what seems gone may have moved into it.
//! - A live resource of the same name that this agent does not own is adopted if it has no owner
//!   label, no foreign origin, and is no preset of Teleport; `reconciler/adopt` overrides this. An
//!   adoption that changes nothing is written to the journal alone.
//! - What cannot change (`workload_cluster`; a trusted cluster's token and addresses) is deferred
//!   with the fields that differ, never deleted and created again on its own.
//! - Without a journal, what is declared and has our owner label is ours; nothing else is pruned.
//! - Files below `children/NAME/` describe the inside of a workload cluster and are skipped with a
//!   warning until children are managed.
//!
//! ## Reading and exit codes
//!
//! - Commands that only read leave no trace; `--dry-run` without a state says that there was no
//!   journal.
//! - `--dry-run` exits 1 when a manifest has an error or can never be applied as it is (the plan of
//!   the rest is printed), else 3 when a change would wait for approval, else 2 when there are
//!   changes and `--detailed-exitcode` is given. What needs a person comes before what is merely to
//!   do.
//!
//! ## Secrets
//!
//! - Secrets in the journal are keyed fingerprints; the key lies in the state (mode 0600).
//! - A name that is a secret (a token of the join method `token`) is nowhere in an id: its
//!   fingerprint stands there, 64 bits wide, and calls take the name from the resource. A name is
//!   one as soon as manifest, cluster or journal says so ([`model::SecretNames`]).
//!
//! ## Labels
//!
//! - A `kube_cluster` that no selector matches counts as not declared: it is deleted if it is ours,
//!   after the pending period, and left alone otherwise. While that depends on a value that no
//!   command has given yet, it is neither created, changed nor deleted.
//! - The `result` of a dynamic label in a manifest counts only in mode `forward`, and only while
//!   its command may not run here; the last good value of our own run replaces it.
//! - A dynamic label hides a static one with the same key, in both modes, as it does in Teleport.
//! - A command whose value cannot change anything, because the static labels alone rule every
//!   selector out, is not run.
//! - The period of a label counts from the start of a run, plus or minus a tenth. Labels that share
//!   a command share its shortest period. A new value is planned with a quarter of a second later,
//!   because many come at once.
//! - A failed run is no value, and no reason to unregister anything (`keep-last`). With `drop` the
//!   label is absent until the command works again, and the ordinary pending period is all that
//!   stands between a failure and the deletion. Values that no manifest has named for a week are
//!   forgotten.
//! - Agents of different names share a directory. A cluster that moves from one to the other is
//!   deleted by the first, after its pending period, and then created by the second: for a moment
//!   nobody owns it, and at no time do two.
//! - A command's descendant that starts a session of its own leaves the process group and is not
//!   killed. After `kill -9` of the agent, a small process that was started beside the first
//!   command ([`adapter::commands`]) kills the groups of those that still run. It is told of each
//!   command right after its start, so an agent killed between the two leaves that one behind.
//!
//! ## Writes
//!
//! - A cluster that exists and is hidden from our identity (`AlreadyExists`, then `AccessDenied`)
//!   is reported once, and tried again after ten minutes or when its manifest changes.
//! - A change that does not persist is not repeated every second: drift is corrected at once, twice
//!   within minutes, and then later each time, up to five minutes. What reads never show, with the
//!   same difference three times in a row, is held for ten minutes, or until the manifest or the
//!   live resource changes; status and log name the fields. A single pass then exits 1.
//!   What refers to the resource goes on. A restarted agent counts from zero.
//! - A manifest with a field that the server's version is known not to have is not applied: the
//!   server would drop the field without a word, and a `deny` with it. Servers report their version
//!   with each answer; nothing is assumed about versions newer than ours.
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
