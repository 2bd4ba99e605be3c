//! What the checks of all kinds share: ways through a document, names and labels.

use super::canonical::{DIRECTIVE_LABELS, SERVER_LABELS};
use super::{ORIGIN_LABEL, OWNER_LABEL, codes, label_key_is_valid};
use crate::model::tree::NodeValue;
use crate::model::{Findings, Node, Severity};

/// The node at a path of keys, unless it is absent or null.
pub(super) fn at<'a>(node: &'a Node<'a>, path: &[&str]) -> Option<&'a Node<'a>> {
    let found = path.iter().try_fold(node, |node, key| node.get(key))?;
    (!found.is_null()).then_some(found)
}

/// As [`at`], but neither empty text nor an empty list or mapping.
pub(super) fn filled<'a>(node: &'a Node<'a>, path: &[&str]) -> Option<&'a Node<'a>> {
    at(node, path).filter(|node| match &node.value {
        NodeValue::Scalar { text, .. } => !text.is_empty(),
        NodeValue::List(items) => !items.is_empty(),
        NodeValue::Map(entries) => !entries.is_empty(),
    })
}

/// The items of a list; none of anything else.
pub(super) fn items<'a>(node: Option<&'a Node<'a>>) -> &'a [Node<'a>] {
    match node.map(|node| &node.value) {
        Some(NodeValue::List(items)) => items,
        Some(NodeValue::Scalar { .. } | NodeValue::Map(_)) | None => &[],
    }
}

/// The entries of a mapping; none of anything else.
pub(super) fn entries<'a>(node: Option<&'a Node<'a>>) -> &'a [(Node<'a>, Node<'a>)] {
    match node.map(|node| &node.value) {
        Some(NodeValue::Map(entries)) => entries,
        Some(NodeValue::Scalar { .. } | NodeValue::List(_)) | None => &[],
    }
}

/// Reports an error.
pub(super) fn error(
    findings: &mut Findings<'_>,
    code: crate::model::Code,
    node: &Node,
    message: impl Into<String>,
    hint: &str,
) {
    findings.add(Severity::Error, code, &node.span, message, Some(hint));
}

/// Reports a warning.
pub(super) fn warning(
    findings: &mut Findings<'_>,
    code: crate::model::Code,
    node: &Node,
    message: impl Into<String>,
    hint: &str,
) {
    findings.add(Severity::Warning, code, &node.span, message, Some(hint));
}

/// Checks what every kind has: name and labels.
pub(super) fn metadata(resource: &Node, findings: &mut Findings<'_>) {
    named(resource, is_storable, findings);
}

/// As [`metadata`], for a kind with a rule of its own for names.
pub(super) fn named(resource: &Node, storable: fn(&str) -> bool, findings: &mut Findings<'_>) {
    let message = |text: &str| format!("the server cannot store the name `{text}`");
    name(resource, storable, message, findings);
    labels(resource, findings);
}

/// As [`metadata`], for a kind whose names are not told.
pub(super) fn metadata_untold(resource: &Node, findings: &mut Findings<'_>) {
    let message = |_secret: &str| "the server cannot store this name".to_owned();
    name(resource, is_storable, message, findings);
    labels(resource, findings);
}

fn name(
    resource: &Node,
    storable: fn(&str) -> bool,
    message: impl Fn(&str) -> String,
    findings: &mut Findings<'_>,
) {
    if let Some(name) = at(resource, &["metadata", "name"])
        && let Some(text) = name.text()
        && !text.is_empty()
        && !storable(text)
    {
        let hint = "use letters, digits, `.`, `_`, `-`, `:`, `@`, `+`";
        error(findings, codes::NAME, name, message(text), hint);
    }
}

fn labels(resource: &Node, findings: &mut Findings<'_>) {
    for (key, _) in entries(at(resource, &["metadata", "labels"])) {
        let Some(text) = key.text() else { continue };
        if text.starts_with(DIRECTIVE_LABELS) || text == ORIGIN_LABEL {
            continue;
        }
        label_key(key, findings);
        if SERVER_LABELS.iter().any(|prefix| text.starts_with(prefix)) {
            warning(
                findings,
                codes::SERVER_LABEL,
                key,
                format!("the label `{text}` belongs to Teleport and is ignored"),
                "use a prefix of your own",
            );
        }
        if text == OWNER_LABEL {
            warning(
                findings,
                codes::OWNER_MARK,
                key,
                format!("the label `{text}` is set by the agent and ignored here"),
                "remove it; `agent.name` in the configuration says who owns what",
            );
        }
    }
}

/// Checks one key of labels.
pub(super) fn label_key(key: &Node, findings: &mut Findings<'_>) {
    if let Some(text) = key.text()
        && !label_key_is_valid(text)
    {
        error(
            findings,
            codes::LABEL_KEY,
            key,
            format!("`{text}` is not a valid label key"),
            "a label key has ASCII letters, digits and `/._:*-`, at least one",
        );
    }
}

/// What a backend takes as one part of a key. (Roles `a/b` and `a b` and a cluster `..` were
/// refused by a real server with `special characters are not allowed in resource names`.)
pub(super) fn is_storable(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.chars().all(is_plain)
}

/// Characters of names.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "@_:.-+".contains(c)
}

/// Checks the names in a list of roles.
pub(super) fn role_names(roles: Option<&Node>, findings: &mut Findings<'_>) {
    for role in items(roles) {
        if role.text().is_some_and(str::is_empty) {
            error(findings, codes::ROLE_EMPTY, role, "the name of a role is empty", "remove it");
        }
    }
}
