//! What the check must know of kinds and resources, read by itself.

use crate::kind::{self, FOREIGN_ORIGINS, Kind, Phase, Writes};
use crate::model::{Live, ResourceId, Value};

pub(super) fn presets(kind: &Kind, id: &ResourceId) -> bool {
    kind.presets.contains(&id.name.as_ref())
}

pub(super) fn is_foreign(live: &Live) -> bool {
    live.origin.as_deref().is_some_and(|origin| FOREIGN_ORIGINS.contains(&origin))
}

pub(super) const fn rank(phase: Phase) -> i8 {
    match phase {
        Phase::Access => 1,
        Phase::Resources => 2,
        Phase::Trust => 3,
        Phase::Children => 4,
    }
}

/// What a resource refers to, in its own cluster.
pub(super) fn targets(id: &ResourceId, canonical: &str) -> Vec<ResourceId> {
    let Some(references) = kind::row(id.kind).and_then(|kind| kind.references) else {
        return Vec::new();
    };
    let Ok(value) = Value::from_json(canonical) else { return Vec::new() };
    let named = references(&value).into_iter();
    let inside = named.map(|target| ResourceId { cluster: id.cluster.clone(), ..target });
    inside.filter(|target| target != id).collect()
}

/// Whether everything that cannot change is the same on both sides.
pub(super) fn keeps_fixed(kind: &Kind, before: &str, after: &str) -> bool {
    if kind.writes == Writes::Immutable || kind.rpc.update.is_none() {
        return false;
    }
    let (Ok(before), Ok(after)) = (Value::from_json(before), Value::from_json(after)) else {
        return false;
    };
    kind.immutable.iter().all(|path| at(&before, path) == at(&after, path))
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}
