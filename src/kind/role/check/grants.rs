//! Rules of what a role grants beside resources: databases, SPIFFE, access requests,
//! impersonation.

use core::net::IpAddr;

use crate::kind::check::{at, error, filled, items};
use crate::kind::codes;
use crate::model::{Findings, Node, duration};

/// Nanoseconds: what a server lets an access request be good for, 14 days.
const REQUEST_MAX: i128 = 14 * 24 * 60 * 60 * 1_000_000_000;

/// Checks one side of a role.
pub(super) fn conditions(part: &str, conditions: &Node, findings: &mut Findings<'_>) {
    for condition in items(at(conditions, &["spiffe"])) {
        spiffe(condition, findings);
    }
    for permission in items(at(conditions, &["db_permissions"])) {
        database(part, permission, findings);
    }
    if let Some(users) = filled(conditions, &["impersonate", "users"])
        && filled(conditions, &["impersonate", "roles"]).is_none()
    {
        let message = "`impersonate` names users and no roles";
        error(findings, codes::IMPERSONATE, users, message, "name roles, too");
    }
    requests(part, conditions, findings);
    predicate(at(conditions, &["review_requests", "where"]), findings);
}

fn spiffe(condition: &Node, findings: &mut Findings<'_>) {
    let hint = "it begins with `/`, or is a regular expression between `^` and `$`";
    match filled(condition, &["path"]) {
        None => error(findings, codes::SPIFFE, condition, "the condition has no `path`", hint),
        Some(path) => {
            let text = path.text().unwrap_or_default();
            let regex = text.starts_with('^') && text.ends_with('$');
            if !text.starts_with('/') && !regex {
                let message = format!("`{text}` is not a valid path of SPIFFE ids");
                error(findings, codes::SPIFFE, path, message, hint);
            }
        }
    }
    for network in items(at(condition, &["ip_sans"])) {
        let text = network.text().unwrap_or_default();
        if !is_network(text) {
            let message = format!("`{text}` is not a valid network");
            let hint = "write address and prefix, `10.0.0.0/8`; one address is `10.1.2.3/32`";
            error(findings, codes::SPIFFE, network, message, hint);
        }
    }
}

/// `10.0.0.0/8`; the address may lie inside the network.
fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    digits && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
}

fn database(part: &str, permission: &Node, findings: &mut Findings<'_>) {
    let hint = "name permissions, `[SELECT]`";
    if filled(permission, &["permissions"]).is_none() {
        let message = "the database permission grants nothing";
        error(findings, codes::DB_PERMISSIONS, permission, message, hint);
    }
    for item in items(at(permission, &["permissions"])) {
        match item.text() {
            Some("") => {
                let message = "a database permission is empty";
                error(findings, codes::DB_PERMISSIONS, item, message, hint);
            }
            Some("*") if part == "allow" => {
                let message = "`*` is not allowed in the permissions of an allow rule";
                error(findings, codes::WILDCARD, item, message, "name each one");
            }
            Some(_) | None => {}
        }
    }
    if let Some(labels) = at(permission, &["match"]) {
        super::wildcard_key(labels, findings);
    }
}

fn requests(part: &str, conditions: &Node, findings: &mut Findings<'_>) {
    let Some(request) = at(conditions, &["request"]) else { return };
    if part == "deny" {
        if let Some(thresholds) = filled(request, &["thresholds"]) {
            let message = "`thresholds` have no meaning in a deny rule";
            let hint = "set `deny` of the thresholds in `allow.request`";
            error(findings, codes::REQUEST, thresholds, message, hint);
        }
        if let Some(mode) = filled(request, &["reason", "mode"]) {
            let message = "`reason.mode` has no meaning in a deny rule";
            error(findings, codes::REQUEST, mode, message, "set it in `allow.request`");
        }
        return;
    }
    for threshold in items(at(request, &["thresholds"])) {
        predicate(at(threshold, &["filter"]), findings);
    }
    if let Some(longest) = at(request, &["max_duration"])
        && let Some(text) = longest.text()
        && duration::parse(text).is_ok_and(|nanos| i128::from(nanos) > REQUEST_MAX)
    {
        let message = format!("`{text}` is longer than an access request may last");
        error(findings, codes::REQUEST, longest, message, "14 days (`14d`) are the most");
    }
    if let Some(mode) = filled(request, &["reason", "mode"])
        && let Some(text) = mode.text()
        && !matches!(text, "required" | "optional")
    {
        let message = format!("`{text}` is not a valid reason mode");
        error(findings, codes::REQUEST, mode, message, "use `required` or `optional`");
    }
}

/// Looks at what no reader of conditions can take: quotes and brackets without their like, and
/// an operator at the end. Which names a condition may use is the server's to say.
fn predicate(condition: Option<&Node>, findings: &mut Findings<'_>) {
    let Some(node) = condition else { return };
    let text = node.text().unwrap_or_default();
    if text.is_empty() {
        return;
    }
    if let Err(why) = balanced(text) {
        let message = format!("the condition cannot be read: {why}");
        let hint = "as in `contains(reviewer.roles, \"admin\")`";
        error(findings, codes::PREDICATE, node, message, hint);
    }
}

fn balanced(text: &str) -> Result<(), String> {
    let mut open = Vec::new();
    let mut chars = text.chars();
    let mut last = None;
    while let Some(c) = chars.next() {
        match c {
            '"' | '`' | '\'' => quoted(&mut chars, c)?,
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => {
                return Err(format!("`{c}` closes nothing"));
            }
            _ => {}
        }
        last = Some(c).filter(|c| !c.is_whitespace()).or(last);
    }
    match (open.pop(), last) {
        (Some(missing), _) => Err(format!("`{missing}` is missing")),
        (None, None) => Err("nothing stands there".to_owned()),
        (None, Some(c)) if "&|=!<>+-*/.,".contains(c) => Err(format!("it ends with `{c}`")),
        (None, Some(_)) => Ok(()),
    }
}

/// Reads on to the end of what is quoted; in raw text nothing is escaped.
fn quoted(chars: &mut std::str::Chars<'_>, quote: char) -> Result<(), String> {
    let mut escaped = false;
    for c in chars.by_ref() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return Ok(()),
            _ => {}
        }
    }
    Err(format!("{quote} is missing at its end"))
}
