//! Rules of a Kubernetes cluster beyond its field list.
//!
//! The server checks little; what only the agents trip over is a warning here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::kubeconfig;
use crate::kind::canonical::is_ignored_label;
use crate::kind::check::{at, entries, error, filled, items, label_key, metadata, warning};
use crate::kind::codes;
use crate::model::{Findings, Node, duration};

/// Credential blocks of the clouds, each with the fields that it needs. (An Azure tenant may be
/// left out.)
const CLOUDS: &[(&str, &[&str])] = &[
    ("azure", &["resource_group", "resource_name", "subscription_id"]),
    ("aws", &["region", "name", "account_id"]),
    ("gcp", &["location", "project_id", "name"]),
];

/// Shortest time between two runs of a dynamic label's command, in nanoseconds. Teleport's agents
/// wait as long without a word when told otherwise; we say so instead.
const PERIOD_MIN: i64 = 1_000_000_000;

/// Checks one Kubernetes cluster.
pub(super) fn check(cluster: &Node, findings: &mut Findings<'_>) {
    metadata(cluster, findings);
    name(cluster, findings);
    credentials(cluster, findings);
    dynamic_labels(cluster, findings);
}

fn name(cluster: &Node, findings: &mut Findings<'_>) {
    let Some(name) = filled(cluster, &["metadata", "name"]) else { return };
    let text = name.text().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.chars().all(plain) {
        error(
            findings,
            codes::KUBE_NAME,
            name,
            format!("`{text}` is not a valid name for a Kubernetes cluster"),
            "use letters, digits, `.`, `_` and `-`",
        );
    }
}

fn credentials(cluster: &Node, findings: &mut Findings<'_>) {
    let mut blocks = Vec::new();
    if let Some(kubeconfig) = filled(cluster, &["spec", "kubeconfig"]) {
        blocks.push(("kubeconfig", kubeconfig));
        inside(kubeconfig, findings);
    }
    for (cloud, needed) in CLOUDS {
        let Some(block) = filled(cluster, &["spec", cloud]) else { continue };
        if entries(Some(block))
            .iter()
            .all(|(key, _)| key.text().is_none_or(|key| filled(block, &[key]).is_none()))
        {
            continue;
        }
        blocks.push((cloud, block));
        for field in *needed {
            if filled(block, &[field]).is_none() {
                let message = format!("`{cloud}` lacks `{field}`");
                let hint = "fill it in, or remove the whole block";
                error(findings, codes::CREDENTIALS_INCOMPLETE, block, message, hint);
            }
        }
    }
    match blocks.as_slice() {
        [] => {
            let node = at(cluster, &["spec"]).unwrap_or(cluster);
            warning(
                findings,
                codes::CREDENTIALS_NONE,
                node,
                "the cluster has no credentials",
                "give `kubeconfig`, `aws`, `azure` or `gcp`: each round of the agents ends in an \
                 error while there is one without",
            );
        }
        [_] => {}
        [(first, _), others @ ..] => {
            for (other, node) in others {
                let message = format!("`{other}` stands beside `{first}`");
                let hint = "keep one: agents use the first of kubeconfig, azure, aws, gcp";
                error(findings, codes::CREDENTIALS_SEVERAL, node, message, hint);
            }
        }
    }
}

/// Reports what is wrong inside at the field, because in base64 nothing has a place.
fn inside(kubeconfig: &Node, findings: &mut Findings<'_>) {
    let Some(content) = content(kubeconfig) else { return };
    for finding in kubeconfig::check(&content) {
        let message = match finding.path.as_str() {
            "" => format!("`kubeconfig`: {}", finding.message),
            path => format!("`kubeconfig`, `{path}`: {}", finding.message),
        };
        let hint = Some(finding.hint);
        findings.add(finding.severity, finding.code, &kubeconfig.span, message, hint);
    }
}

/// The bytes, which may be written as a list; what is neither is the reader's business.
fn content(kubeconfig: &Node) -> Option<Vec<u8>> {
    if let Some(text) = kubeconfig.text() {
        let packed: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        return STANDARD.decode(packed).ok();
    }
    let byte = |item: &Node| item.text().and_then(|text| text.parse().ok());
    items(Some(kubeconfig)).iter().map(byte).collect()
}

fn dynamic_labels(cluster: &Node, findings: &mut Findings<'_>) {
    for (key, label) in entries(at(cluster, &["spec", "dynamic_labels"])) {
        label_key(key, findings);
        let text = key.text().unwrap_or_default();
        if is_ignored_label(text) {
            let message = format!("the dynamic label `{text}` is ignored, its name is not free");
            let hint = "use a prefix of your own; names that begin with `reconciler/`, \
                        `teleport.dev/` or `teleport.internal/` and the ownership mark are taken";
            warning(findings, codes::DYNAMIC_IGNORED, key, message, hint);
        }
        if filled(label, &["command"]).is_none() {
            let message = format!("the dynamic label `{text}` has no command");
            let hint = "give program and arguments as a list, `[python3, region.py]`";
            warning(findings, codes::COMMAND_MISSING, key, message, hint);
        }
        let period = filled(label, &["period"]);
        let nanoseconds = period.and_then(Node::text).and_then(|text| duration::parse(text).ok());
        // What is no duration is reported by the reader.
        if period.is_none() || nanoseconds.is_some_and(|period| period < PERIOD_MIN) {
            let message = match period {
                Some(_) => format!("the command of `{text}` would run more than once a second"),
                None => format!("the command of `{text}` has no period"),
            };
            let node = period.unwrap_or(key);
            error(findings, codes::PERIOD_SHORT, node, message, "for example `period: 1h`");
        }
        if at(cluster, &["metadata", "labels", text]).is_some() {
            let message = format!("`{text}` is a static label as well, which it hides");
            warning(findings, codes::LABEL_HIDDEN, key, message, "keep one of them");
        }
    }
}
