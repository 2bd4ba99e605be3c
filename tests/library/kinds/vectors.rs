//! Results of Teleport's own functions.

use super::keyed::resource;
use reconciler::kind::{self, label_key_is_valid};
use reconciler::model::{Cluster, Value, duration};

fn rows(name: &str) -> Vec<serde_json::Value> {
    let path = format!("{}/tests/data/vectors/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    let rows: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() > 20, "{name} has few rows");
    rows
}

#[test]
fn durations_are_teleports() {
    for row in rows("durations") {
        let text = row["text"].as_str().unwrap();
        match (duration::parse(text), row["error"].as_str()) {
            (Ok(nanoseconds), None) => {
                assert_eq!(Some(nanoseconds), row["nanoseconds"].as_i64(), "{text:?}");
                let shown = duration::show(nanoseconds);
                assert_eq!(shown, row["shown"].as_str().unwrap(), "{text:?}");
                assert_eq!(duration::parse(&shown), Ok(nanoseconds), "{text:?} again");
            }
            (Err(error), Some(expected)) => assert_eq!(error, expected, "{text:?}"),
            (got, expected) => panic!("{text:?}: {got:?}, Teleport: {expected:?}"),
        }
    }
}

#[test]
fn label_keys_are_teleports() {
    for row in rows("label-keys") {
        let key = row["key"].as_str().unwrap();
        assert_eq!(Some(label_key_is_valid(key)), row["valid"].as_bool(), "{key:?}");
    }
}

/// What tctl makes of a file, defaults included, is canonical already but for what equals unset.
#[test]
fn resources_after_teleports_defaults_equal_themselves_without() {
    let mut compared = 0;
    let mut different = Vec::new();
    for row in rows("manifests") {
        let name = row["name"].as_str().unwrap();
        // What stands in YAML is read by libyaml here, as Go reads it.
        let Ok(yaml) = serde_yaml::from_str::<serde_json::Value>(row["yaml"].as_str().unwrap())
        else {
            continue;
        };
        let [document] = row["documents"].as_array().unwrap().as_slice() else { continue };
        let Some(kind) = document["kind"].as_str().and_then(kind::find) else { continue };
        if document["resource"].is_null() || READ_BY_THE_READER.contains(&name) {
            continue;
        }
        let resource_name = document["resource"]["metadata"]["name"].as_str().unwrap();
        let text = |value: serde_json::Value| {
            resource(kind, Cluster::Parent, resource_name, Value::from_serde(value)).canonical
        };
        let (ours, teleports) = (text(yaml), text(document["resource"].clone()));
        if ours != teleports {
            different.push(format!("{name}: {ours} and {teleports}"));
        }
        compared += 1;
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(compared > 20, "{compared}");
}

/// Rows whose point is how Go reads YAML: the manifest reader's tests have them.
const READ_BY_THE_READER: &[&str] = &[
    "upper case field",
    "kubeconfig list of bytes",
    "merge key",
    "merge key clean",
    "binary tag",
    "role forward yes",
    "role forward word",
    "role desktop clipboard",
    "trusted enabled yes",
];
