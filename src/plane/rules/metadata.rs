//! What holds for the metadata of every kind.

use std::collections::BTreeMap;

use super::NAMESPACE;
use crate::plane::status::Status;
use crate::wire::message::types;

/// Says by which way a resource came.
pub(super) const ORIGIN: &str = "teleport.dev/origin";

/// The values that the server knows.
const ORIGINS: &[&str] = &[
    "defaults",
    "config-file",
    "dynamic",
    "cloud",
    "kubernetes",
    "okta",
    "scim",
    "discovery-kubernetes",
    "entra-id",
    "aws-identity-center",
    "integration_awsrolesanywhere",
];

/// Fills what is not set and refuses what cannot be: name, namespace, label keys, origin.
pub(super) fn check(metadata: &mut types::Metadata) -> Result<(), Status> {
    if metadata.namespace.is_empty() {
        NAMESPACE.clone_into(&mut metadata.namespace);
    }
    check_name(&metadata.name)?;
    check_namespace(&metadata.namespace)?;
    check_labels(&metadata.labels)
}

/// The same for metadata whose namespace is not looked at.
pub(super) fn check_parts(name: &str, labels: &BTreeMap<String, String>) -> Result<(), Status> {
    check_name(name)?;
    check_labels(labels)
}

fn check_name(name: &str) -> Result<(), Status> {
    if name.is_empty() { Err(Status::invalid("missing parameter Name")) } else { Ok(()) }
}

/// Refuses every namespace but the one that is left.
pub(super) fn check_namespace(namespace: &str) -> Result<(), Status> {
    if namespace == NAMESPACE {
        return Ok(());
    }
    Err(Status::invalid(format!(
        "namespace {} invalid, custom namespaces are deprecated; the namespace field should be \
         omitted or set to {}",
        quoted(namespace),
        quoted(NAMESPACE)
    )))
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Status> {
    for key in labels.keys() {
        if !label_key(key) {
            return Err(Status::invalid(format!("invalid label key: \"{key}\"")));
        }
    }
    match labels.get(ORIGIN) {
        Some(origin) if !origin.is_empty() && !ORIGINS.contains(&origin.as_str()) => {
            Err(Status::invalid(format!(
                "invalid origin value {}, must be one of [{}]",
                quoted(origin),
                ORIGINS.join(" ")
            )))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a label may have that key.
pub(super) fn label_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|it| it.is_ascii_alphanumeric() || b"/._:*-".contains(&it))
}

/// Refuses a name that cannot be one part of a key of the backend; `key` is the whole, which is
/// quoted.
pub(super) fn check_backend_key(key: &str, name: &str) -> Result<(), Status> {
    let known = |it: u8| it.is_ascii_alphanumeric() || b"@_:.-+".contains(&it);
    if name.bytes().all(known) && !matches!(name, "" | "." | "..") {
        return Ok(());
    }
    Err(Status::invalid(format!(
        "special characters are not allowed in resource names, please use name composed only \
         from characters, hyphens, dots, and plus signs: {}",
        quoted(key)
    )))
}

/// Quotes text as Go's `%q` does, for the texts that the server gives.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for it in text.chars() {
        match it {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            it if it.is_control() => out.extend(format!("\\x{:02x}", u32::from(it)).chars()),
            it => out.push(it),
        }
    }
    out.push('"');
    out
}

/// Whether every keyword is part of the name, a label's key or its value, in any case.
pub(super) fn search(metadata: &types::Metadata, keywords: &[String]) -> bool {
    let has = |text: &str, word: &str| text.to_lowercase().contains(word);
    keywords.iter().map(|word| word.to_lowercase()).all(|word| {
        has(&metadata.name, &word)
            || metadata.labels.iter().any(|(key, value)| has(key, &word) || has(value, &word))
    })
}
