//! Merge keys, `<<: *defaults`.
//!
//! What is merged gives way to keys that stand after it, as in Go's reader. There, what is
//! merged overwrites keys that stand *before* it, against YAML's own rule: that is refused.

use std::collections::BTreeMap;

use crate::manifest::codes;
use crate::model::tree::NodeValue;
use crate::model::{Findings, Node, ScalarStyle, Severity};

/// Whether a key is `<<` without quotes.
pub(super) fn is_merge(key: &Node) -> bool {
    matches!(&key.value, NodeValue::Scalar { text, style, .. }
        if text == "<<" && *style == ScalarStyle::Plain)
}

/// The tree with all merges filled in.
pub(super) fn fill<'a>(node: Node<'a>, findings: &mut Findings<'_>) -> Node<'a> {
    let value = match node.value {
        NodeValue::Scalar { .. } => node.value,
        NodeValue::List(items) => {
            NodeValue::List(items.into_iter().map(|item| fill(item, findings)).collect())
        }
        NodeValue::Map(entries) => NodeValue::Map(fill_map(entries, findings)),
    };
    Node { span: node.span, value }
}

fn fill_map<'a>(
    entries: Vec<(Node<'a>, Node<'a>)>,
    findings: &mut Findings<'_>,
) -> Vec<(Node<'a>, Node<'a>)> {
    let mut out: Vec<(Node<'_>, Node<'_>)> = Vec::with_capacity(entries.len());
    // Where each key stands in `out`, and whether it came by a merge.
    let mut index: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for (key, value) in entries {
        let value = fill(value, findings);
        if !is_merge(&key) {
            let text = key.text().unwrap_or_default().to_owned();
            // What was merged gives way; a key written twice is reported already.
            if let Some(&(at, true)) = index.get(&text)
                && let Some(slot) = out.get_mut(at)
            {
                *slot = (key, value);
                index.insert(text, (at, false));
            } else {
                index.insert(text, (out.len(), false));
                out.push((key, value));
            }
            continue;
        }
        let Some(merged) = merged(value) else {
            let message = "`<<` merges something that is not a mapping";
            let hint = Some("refer to a mapping, or to a list of mappings");
            findings.add(Severity::Error, codes::BAD_MERGE, &key.span, message, hint);
            continue;
        };
        for (name, value) in merged {
            let text = name.text().unwrap_or_default().to_owned();
            match index.get(&text) {
                Some(&(at, false)) => {
                    let message = format!("`{text}` is set before the `<<` that sets it again");
                    let hint = "move `<<` to the top of the mapping";
                    let first = out.get(at).map_or(&key.span, |(first, _)| &first.span);
                    let first = (first, "first here");
                    findings.add_beside(codes::DUPLICATE_KEY, &key.span, message, hint, first);
                }
                Some((_, true)) => {}
                None => {
                    index.insert(text, (out.len(), true));
                    out.push((name, value));
                }
            }
        }
    }
    out
}

/// The entries to merge: earlier mappings of a list win.
fn merged(value: Node<'_>) -> Option<Vec<(Node<'_>, Node<'_>)>> {
    match value.value {
        NodeValue::Map(entries) => Some(entries),
        NodeValue::List(items) => {
            let mut out = Vec::new();
            for item in items {
                match item.value {
                    NodeValue::Map(entries) => out.extend(entries),
                    NodeValue::List(_) | NodeValue::Scalar { .. } => return None,
                }
            }
            Some(out)
        }
        NodeValue::Scalar { .. } => None,
    }
}
