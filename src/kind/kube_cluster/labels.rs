//! Static and dynamic labels of a Kubernetes cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use super::registered;
use crate::kind::labelled::{DynamicLabel, LabelParts, Labelled};
use crate::model::{Value, duration};

pub(super) const LABELLED: Labelled = Labelled {
    parts,
    dynamic: &["spec", "dynamic_labels"],
    resolve,
    forward,
    registered: registered::of_wire,
};

fn parts(cluster: &Value) -> LabelParts {
    let fixed = cluster.get("metadata").and_then(|metadata| metadata.get("labels"));
    let dynamic = cluster.get("spec").and_then(|spec| spec.get("dynamic_labels"));
    LabelParts {
        fixed: entries(fixed).map(|(key, value)| (key.clone(), text(Some(value)))).collect(),
        dynamic: entries(dynamic).map(|(key, label)| (key.clone(), one(label))).collect(),
    }
}

fn one(label: &Value) -> DynamicLabel {
    let command = match label.get("command") {
        Some(Value::List(words)) => words.iter().map(|word| text(Some(word))).collect(),
        Some(_) | None => Vec::new(),
    };
    let period = duration::parse(&text(label.get("period"))).unwrap_or(0);
    DynamicLabel {
        command,
        period: Duration::from_nanos(u64::try_from(period).unwrap_or(0)),
        result: text(label.get("result")),
    }
}

fn entries(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    let map = match value {
        Some(Value::Map(map)) => Some(map),
        Some(_) | None => None,
    };
    map.into_iter().flatten()
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn resolve(cluster: &mut Value, labels: BTreeMap<String, String>) {
    if let Some(spec) = map_in(cluster, "spec") {
        spec.remove("dynamic_labels");
    }
    if let Value::Map(fields) = cluster
        && let Value::Map(metadata) = fields.entry("metadata".to_owned()).or_insert_with(Value::map)
    {
        let labels = labels.into_iter().map(|(key, value)| (key, Value::String(value)));
        metadata.insert("labels".to_owned(), Value::Map(labels.collect()));
    }
}

fn forward(cluster: &mut Value, results: BTreeMap<String, String>) {
    let Some(spec) = map_in(cluster, "spec") else { return };
    let Some(Value::Map(dynamic)) = spec.get_mut("dynamic_labels") else { return };
    for (key, result) in results {
        if let Some(Value::Map(label)) = dynamic.get_mut(&key) {
            label.insert("result".to_owned(), Value::String(result));
        }
    }
}

fn map_in<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut BTreeMap<String, Value>> {
    match value {
        Value::Map(fields) => match fields.get_mut(key) {
            Some(Value::Map(inner)) => Some(inner),
            Some(_) | None => None,
        },
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::List(_) => None,
    }
}
