//! What we say that services will do, against what the plane's services then do.

use reconciler::kind::kube_server::{Registered, Servers};
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use reconciler::kind::{self, canonical, kube_server};
use reconciler::labels::preview::{Fact, notes, predict};
use reconciler::labels::selector::Selectors;
use reconciler::labels::serve::Service;
use reconciler::model::{Cluster, FingerprintKey};
use reconciler::plane::{KubeService, Settings};
use reconciler::wire::message::types;

use super::services::{cluster, put, servers};
use super::support::{AUTH, World, named};

type Item = BTreeMap<String, Vec<String>>;

/// Words that selectors are made of: plain, globs, expressions, and what looks like these.
const WANTED: &[&str] = &[
    "*",
    "prod",
    "test",
    "us-*",
    "*-1",
    "us-east-2",
    "^(prod|test)$",
    "^us-[a-z]+-\\d$",
    "^prod",
    "pr.d",
    "",
    "Prod",
];

/// Values of labels; those with `>` are results of commands, `>` alone is none yet.
const VALUES: &[&str] =
    &["prod", "test", "us-east-2", "us-west-1", "", "Prod", "^prod", ">prod", ">us-east-2", ">"];

const KEYS: &[&str] = &["env", "region", "teleport.dev/origin", "*"];

fn item() -> impl Strategy<Value = Item> {
    let values = prop::collection::vec(prop::sample::select(WANTED), 1..3);
    let entry = (prop::sample::select(KEYS), values);
    prop::collection::vec(entry, 1..3).prop_map(|entries| {
        let owned = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
        entries.into_iter().map(|(key, values)| (key.to_owned(), owned(values))).collect()
    })
}

/// Lists that we take; what we refuse cannot be configured.
fn services() -> impl Strategy<Value = Vec<(Service, KubeService)>> {
    let items = prop::collection::vec(item(), 1..3);
    let taken = items.prop_filter_map("refused", |items| {
        let resources = Selectors::new(&items).ok()?;
        Some((resources, items))
    });
    prop::collection::vec(taken, 1..4).prop_map(|lists| {
        let named = |(index, (resources, items)): (usize, (Selectors, Vec<Item>))| {
            let name = format!("service-{index}");
            (Service { name: name.clone(), resources }, KubeService { name, resources: items })
        };
        lists.into_iter().enumerate().map(named).collect()
    })
}

fn labels() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let keys = prop::sample::select(&KEYS[..2]);
    prop::collection::vec((keys, prop::sample::select(VALUES)), 0..4)
}

/// The cluster as the client reads it.
fn registered(world: &mut World, name: &str) -> Registered {
    let path = format!("{AUTH}GetKubernetesCluster");
    let wire: types::KubernetesClusterV3 = world.call(&path, &named(name)).unwrap();
    let wire = prost::Message::encode_to_vec(&wire).into();
    let (kind, key) = (kind::find("kube_cluster").unwrap(), FingerprintKey([7; 32]));
    let live = canonical::decode(kind, Cluster::Parent, wire, &key);
    kube_server::of_live(&live.unwrap()).unwrap().unwrap()
}

fn serving(world: &mut World, name: &str) -> BTreeSet<String> {
    let servers = servers(world).into_iter();
    let of_name = servers.filter(|it| it.metadata.as_ref().unwrap().name == name);
    of_name.map(|it| it.spec.unwrap().hostname).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_said_is_what_happens(
        services in services(),
        first in labels(),
        second in labels(),
        credentials in prop::bool::weighted(0.9),
    ) {
        let (ours, theirs): (Vec<_>, Vec<_>) = services.into_iter().unzip();
        let mut world = World::new(Settings { services: theirs, ..Default::default() });
        let mut made = cluster("a", &first);
        if !credentials {
            made.spec.as_mut().unwrap().kubeconfig.clear();
        }
        put(&mut world, "Create", &made);
        let before = registered(&mut world, "a");
        let seen = Servers::Known(Vec::new());
        let mut said = BTreeSet::new();
        let facts = notes(&ours, &seen, None, Some(&before)).into_iter().map(|note| note.fact);
        let facts: Vec<Fact> = facts.collect();
        for fact in &facts {
            if let Fact::ServedBy(by) = fact {
                prop_assert!(by.unknown.is_empty(), "every stored label has a value");
                said.extend(by.names.iter().cloned());
            }
        }
        prop_assert_eq!(facts.contains(&Fact::NoCredentials), !credentials);
        if credentials {
            prop_assert_eq!(facts.contains(&Fact::Nobody), said.is_empty());
        }
        prop_assert_eq!(&serving(&mut world, "a"), &said);
        let alone = predict(&ours, &seen, &before);
        prop_assert_eq!(alone.why_not.is_none(), !said.is_empty());
        prop_assert_eq!(alone.by.names.into_iter().collect::<BTreeSet<_>>(), said.clone());

        put(&mut world, "Update", &cluster("a", &second));
        let after = registered(&mut world, "a");
        let then = serving(&mut world, "a");
        let mut lost = BTreeSet::new();
        for note in notes(&ours, &seen, Some(&before), Some(&after)) {
            if let Fact::Unregisters(from) = note.fact {
                lost.extend(from);
            }
        }
        prop_assert_eq!(lost, said.difference(&then).cloned().collect());
    }
}
