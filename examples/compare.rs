//! What would it take to get from one directory of manifests to another?
//!
//! `cargo run --example compare -- FROM TO` plans TO against a cluster that holds exactly what
//! FROM declares, without any control plane, and prints the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write as _;

use reconciler::adapter::entropy;
use reconciler::adapter::files::{Directory, EXCLUDE, Globs, INCLUDE};
use reconciler::journal::Entry;
use reconciler::kind::{self, KINDS, canonical};
use reconciler::live::{Coverage, LiveState, Observed};
use reconciler::manifest::{Reading, decode};
use reconciler::model::{Cluster, FingerprintKey, Place, Timestamp, Value};
use reconciler::plan::{self, Input, Policy, render};

const AGENT: &str = "compare";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("usage: compare FROM TO".into());
    };
    // Thrown away at the end: what is printed cannot be used to guess a secret.
    let key = entropy::new_key()?;
    let (before, wanted) = (read(&from, &key)?, read(&to, &key)?);
    let policy = Policy {
        agent: AGENT.to_owned(),
        max_delete_percent: 100,
        max_delete_free: usize::MAX,
        confirm: Vec::new(),
    };
    let input = Input {
        reading: &wanted,
        labels: None,
        live: &as_live(&before, &key)?,
        inventory: &as_inventory(&before, &key)?,
        busy: &BTreeSet::new(),
        policy: &policy,
        key: &key,
        wall: Timestamp(0),
    };
    let plan = plan::plan(&input);
    let locate = |place: &Place| place.path.to_string();
    let view = render::View {
        plan: &plan,
        gated: None,
        key: &key,
        locate: &locate,
        colour: false,
        serving: &[],
        findings: &[],
    };
    std::io::stdout().write_all(render::text(&view).as_bytes())?;
    Ok(())
}

fn read(dir: &str, key: &FingerprintKey) -> Result<Reading, Box<dyn Error>> {
    let snapshot = Directory::new(dir, Globs::new(INCLUDE, EXCLUDE)?).read_now()?;
    let reading = decode::read(&snapshot, key);
    if !reading.is_whole() {
        return Err(format!("{dir} has errors; see `reconciler validate {dir}`").into());
    }
    Ok(reading)
}

/// The manifests as a cluster would report them.
fn as_live(reading: &Reading, key: &FingerprintKey) -> Result<LiveState, Box<dyn Error>> {
    let mut state = LiveState::default();
    for kind in KINDS {
        let mut items = Vec::new();
        for manifest in reading.manifests.values() {
            if manifest.resource.id.kind == kind.name {
                let wire = canonical::encode(kind, &manifest.resource, None, AGENT)?;
                items.push(canonical::decode(kind, Cluster::Parent, wire, key)?);
            }
        }
        let observed = Observed::new(items, Coverage::Complete);
        state.kinds.insert((Cluster::Parent, kind.name), observed);
    }
    Ok(state)
}

/// All of it is ours.
fn as_inventory(
    reading: &Reading,
    key: &FingerprintKey,
) -> Result<BTreeMap<reconciler::model::ResourceId, Entry>, Box<dyn Error>> {
    let mut inventory = BTreeMap::new();
    for (id, manifest) in &reading.manifests {
        let kind = kind::row(id.kind).ok_or("ids are made from rows")?;
        let value = Value::from_json(&manifest.resource.canonical)?;
        let entry = Entry {
            applied: canonical::mask_of(id, kind, value, key).to_json().into(),
            adopted: false,
            path: manifest.at.path.to_string(),
            keep: manifest.directives.keep,
        };
        inventory.insert(id.clone(), entry);
    }
    Ok(inventory)
}
