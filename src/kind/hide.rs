//! Texts of others without our secrets: a server may quote in an error what it was sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Kind, canonical};
use crate::model::{FingerprintKey, ResourceId, Value};

/// Secrets shorter than this (bytes) stay: they would be found in ordinary words, and what is
/// left of the text would tell them all the same.
const SHORTEST: usize = 4;
/// Words of a longer secret that are at least this long (bytes) are hidden by themselves: a
/// parser quotes the token or key that it stumbles over, not the whole document.
const SHORTEST_WORD: usize = 12;

/// The text with every secret of the resource replaced by its fingerprint: as it is written,
/// decoded from base64 where it is that, as Go quotes it (`%q`), and by its long words.
pub fn hide(
    id: &ResourceId,
    kind: &Kind,
    resource: &Value,
    key: &FingerprintKey,
    text: &str,
) -> String {
    let masked = canonical::mask_of(id, kind, resource.clone(), key);
    let mut found = Vec::new();
    collect(resource, &masked, &mut found);
    let mut forms: Vec<(String, String)> = Vec::new();
    for (secret, shown) in found {
        forms_of(&secret, |form| forms.push((form, shown.clone())));
    }
    forms.retain(|(form, _)| form.len() >= SHORTEST);
    // The longest first: a part must not spoil the whole.
    forms.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    let replaced = |text: String, (form, shown): &(String, String)| text.replace(form, shown);
    forms.iter().fold(text.to_owned(), replaced)
}

/// All that masking changes: the secret, and what is shown instead.
fn collect(value: &Value, masked: &Value, found: &mut Vec<(String, String)>) {
    match (value, masked) {
        (Value::String(secret), Value::String(shown)) if secret != shown => {
            found.push((secret.clone(), shown.clone()));
        }
        (Value::Map(values), Value::Map(masked)) => {
            for (name, value) in values {
                if let Some(masked) = masked.get(name) {
                    collect(value, masked, found);
                }
            }
        }
        (Value::List(items), Value::List(masked)) => {
            for (item, masked) in items.iter().zip(masked) {
                collect(item, masked, found);
            }
        }
        // A secret that is no text: all texts in it.
        (Value::Map(_) | Value::List(_), Value::String(shown)) => inner(value, shown, found),
        (
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Map(_),
            _,
        ) => {}
    }
}

fn inner(value: &Value, shown: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(secret) => found.push((secret.clone(), shown.to_owned())),
        Value::List(items) => items.iter().for_each(|item| inner(item, shown, found)),
        Value::Map(values) => values.values().for_each(|value| inner(value, shown, found)),
        Value::Null | Value::Bool(_) | Value::Int(_) => {}
    }
}

/// The ways in which a text may stand in another.
fn forms_of(secret: &str, mut add: impl FnMut(String)) {
    let decoded = STANDARD.decode(secret).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    for whole in [Some(secret.to_owned()), decoded].into_iter().flatten() {
        add(whole.escape_debug().to_string());
        add(whole.trim().to_owned());
        for word in whole.split_whitespace().filter(|word| word.len() >= SHORTEST_WORD) {
            add(word.to_owned());
        }
        add(whole);
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::kind;
    use crate::model::Cluster;

    /// Kind, resource, what the server says, what must not be in what we say, how many
    /// fingerprints are.
    const CASES: &[(&str, &str, &str, &[&str], usize)] = &[
        (
            "trusted_cluster",
            r#"{"spec":{"token":"hunter2","web_proxy_addr":"root:443"}}"#,
            r#"invalid token "hunter2" for root:443"#,
            &["hunter2"],
            1,
        ),
        (
            "kube_cluster",
            r#"{"spec":{"kubeconfig":"dG9rZW46IGh1bnRlcjItaHVudGVyMgo="}}"#,
            "cannot parse `token: hunter2-hunter2`, sent as dG9rZW46IGh1bnRlcjItaHVudGVyMgo=",
            &["hunter2", "dG9r"],
            2,
        ),
        (
            "kube_cluster",
            r#"{"spec":{"kubeconfig":"dG9rZW46IGh1bnRlcjItaHVudGVyMgo="}}"#,
            r#"line 1: "token: hunter2-hunter2\n"; illegal bearer hunter2-hunter2"#,
            &["hunter2"],
            2,
        ),
        (
            "token",
            r#"{"metadata":{"name":"hunter2"},"spec":{"roles":["Node"]}}"#,
            r#"key "/tokens/hunter2" already exists"#,
            &["hunter2"],
            1,
        ),
        (
            "token",
            r#"{"metadata":{"name":"ci"},"spec":{"join_method":"github"}}"#,
            r#"key "/tokens/ci" already exists"#,
            &[],
            0,
        ),
        ("trusted_cluster", r#"{"spec":{"token":"abc"}}"#, "abc is too short", &[], 0),
        ("trusted_cluster", r#"{"spec":{"enabled":true}}"#, "access denied", &[], 0),
    ];

    #[test]
    fn what_a_server_quotes_is_hidden() {
        for (word, resource, said, hidden, count) in CASES {
            let value = Value::from_json(resource).unwrap();
            let key = FingerprintKey([7; 32]);
            let kind = kind::find(word).unwrap();
            let id = canonical::id(kind, Cluster::Parent, "it", &value, &key);
            let told = hide(&id, kind, &value, &key, said);
            assert!(hidden.iter().all(|part| !told.contains(part)), "{told}");
            assert_eq!(told.matches("(secret ").count(), *count, "{told}");
            assert!(*count > 0 || told == *said, "{told}");
        }
    }
}
