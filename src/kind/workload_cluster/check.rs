//! Rules of a workload cluster beyond its field list.

use crate::kind::canonical::DIRECTIVE_LABELS;
use crate::kind::check::{at, entries, error, filled, is_storable, items, metadata, warning};
use crate::kind::codes;
use crate::model::{Findings, Node};

/// The one way in which the child's first bot can join.
const JOIN_METHOD: &str = "iam";

/// Digits of an AWS account.
const ACCOUNT_DIGITS: usize = 12;

/// Longest label of a domain name.
const NAME_MAX: usize = 63;

/// Checks one workload cluster.
pub(super) fn check(cluster: &Node, findings: &mut Findings<'_>) {
    metadata(cluster, findings);
    name(cluster, findings);
    lost(cluster, findings);
    let spec = at(cluster, &["spec"]).unwrap_or(cluster);
    if filled(spec, &["regions"]).is_none() {
        let hint = "for example `regions: [{name: us-west-2}]`";
        error(findings, codes::REGIONS, spec, "no region is named", hint);
    }
    for region in items(at(spec, &["regions"])) {
        if filled(region, &["name"]).is_none() {
            error(findings, codes::REGIONS, region, "the region has no name", "`name: us-west-2`");
        }
    }
    if filled(spec, &["bot", "name"]).is_none() {
        let node = at(spec, &["bot"]).unwrap_or(spec);
        let hint = "bot, token and role in the child bear this name";
        error(findings, codes::BOT_NAME, node, "`bot.name` is missing", hint);
    }
    token(spec, findings);
}

/// The name becomes the first label of the child's domain. Which names Teleport Cloud takes is
/// not published, but a name outside of the rule for domains cannot work, and to learn that late
/// is costly: the name cannot be changed, and a deleted one stays blocked.
fn name(cluster: &Node, findings: &mut Findings<'_>) {
    let Some(name) = filled(cluster, &["metadata", "name"]) else { return };
    let text = name.text().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    // What cannot be stored is reported as that.
    if is_storable(text)
        && (!text.bytes().all(plain)
            || text.starts_with('-')
            || text.ends_with('-')
            || text.len() > NAME_MAX)
    {
        let message = format!("`{text}` cannot be part of the domain `{text}.teleport.sh`");
        let hint = "use lowercase letters, digits and `-` inside, 63 characters at most";
        error(findings, codes::CLUSTER_NAME, name, message, hint);
    }
}

fn token(spec: &Node, findings: &mut Findings<'_>) {
    let token = at(spec, &["token"]).unwrap_or(spec);
    let method = filled(token, &["join_method"]);
    let text = method.and_then(Node::text).unwrap_or_default();
    if text != JOIN_METHOD {
        let node = method.unwrap_or(token);
        let message = match method {
            Some(_) => format!("the join method `{text}` is not supported"),
            None => "`token.join_method` is missing".into(),
        };
        error(findings, codes::JOIN_METHOD, node, message, "use `iam`");
    }
    let rules = items(at(token, &["allow"]));
    if rules.is_empty() {
        let hint = "say who may join: `allow: [{aws_account: \"123456789012\"}]`";
        error(findings, codes::ALLOW_NONE, token, "`token.allow` has no rules", hint);
    }
    for rule in rules {
        allow(rule, findings);
    }
}

fn allow(rule: &Node, findings: &mut Findings<'_>) {
    let account = filled(rule, &["aws_account"]);
    let arn = filled(rule, &["aws_arn"]);
    if account.is_none() && arn.is_none() {
        let hint = "set `aws_account` or `aws_arn`";
        error(findings, codes::ALLOW_EMPTY, rule, "the rule lets nobody in", hint);
    }
    if let Some(account) = account
        && let Some(text) = account.text()
        && !(text.len() == ACCOUNT_DIGITS && text.bytes().all(|b| b.is_ascii_digit()))
    {
        let message = format!("`{text}` is not a valid AWS account");
        warning(findings, codes::ACCOUNT, account, message, "an account has twelve digits");
    }
    if let Some(arn) = arn
        && let Some(text) = arn.text()
        && !text.starts_with("arn:")
    {
        let message = format!("`{text}` is not a valid AWS ARN");
        let hint = "for example `arn:aws:sts::123456789012:assumed-role/ROLE/SESSION`";
        warning(findings, codes::ARN, arn, message, hint);
    }
}

/// What would be compared for ever without ever being equal is not compared at all.
fn lost(cluster: &Node, findings: &mut Findings<'_>) {
    let hint = "only `spec` is kept, and it never changes";
    for name in ["description", "expires"] {
        if let Some(node) = filled(cluster, &["metadata", name]) {
            let message = format!("the server does not keep `metadata.{name}` of this kind");
            warning(findings, codes::METADATA_LOST, node, message, hint);
        }
    }
    for (key, _) in entries(at(cluster, &["metadata", "labels"])) {
        let Some(text) = key.text().filter(|text| !text.starts_with(DIRECTIVE_LABELS)) else {
            continue;
        };
        let message = format!("the server does not keep the label `{text}` of this kind");
        warning(findings, codes::METADATA_LOST, key, message, hint);
    }
}
