//! Rules of a token beyond its field list: those of Teleport's `CheckAndSetDefaults`.

mod methods;

use super::{BY_INSTANCE, BY_NAME, SYSTEM_ROLES, system_role};
use crate::kind::check::{at, error, filled, items, metadata_untold};
use crate::kind::codes;
use crate::model::{Findings, Node};
use methods::{METHODS, Method};

/// The system role of a bot.
const BOT_ROLE: &str = "Bot";

/// Checks one token.
pub(super) fn check(token: &Node, findings: &mut Findings<'_>) {
    metadata_untold(token, findings);
    let spec = at(token, &["spec"]).unwrap_or(token);
    roles(spec, findings);
    let method = filled(spec, &["join_method"]);
    let has_rules = !items(at(spec, &["allow"])).is_empty();
    let name = match method.and_then(Node::text) {
        Some(name) => name,
        None if has_rules => BY_INSTANCE,
        None => BY_NAME,
    };
    let node = method.unwrap_or(spec);
    if name == BY_NAME {
        if let Some(rules) = filled(spec, &["allow"]) {
            let message = "the join method `token` takes no `allow` rules";
            let hint = "remove them, or name the method that they belong to: `ec2` or `iam`";
            error(findings, codes::TOKEN_RULE, rules, message, hint);
        }
        return;
    }
    if let Some(method) = METHODS.iter().find(|method| method.name == name) {
        join(method, spec, node, findings);
    } else {
        let names: Vec<String> =
            METHODS.iter().map(|method| format!("`{}`", method.name)).collect();
        let message = format!("`{name}` is not a valid join method");
        let hint = format!("use one of {}", names.join(", "));
        error(findings, codes::TOKEN_METHOD, node, message, &hint);
    }
}

/// Join methods and system roles.
pub(super) fn values() -> Vec<&'static str> {
    let methods = METHODS.iter().map(|method| method.name);
    let roles = SYSTEM_ROLES.iter().flat_map(|(words, shown)| words.iter().chain([shown]));
    methods.chain([BY_NAME]).chain(roles.copied()).collect()
}

fn roles(spec: &Node, findings: &mut Findings<'_>) {
    let list = items(at(spec, &["roles"]));
    if list.is_empty() {
        let hint = "for example `roles: [Node]`, or `roles: [Bot]` with `bot_name`";
        error(findings, codes::TOKEN_ROLES, spec, "the token is for no role", hint);
    }
    let mut seen: Vec<&str> = Vec::new();
    for role in list {
        let text = role.text().unwrap_or_default();
        match system_role(text) {
            None => {
                let message = format!("`{text}` is not a valid system role");
                let hint = "roles of tokens are Teleport's own: `Node`, `Kube`, `Bot`, …";
                error(findings, codes::TOKEN_ROLES, role, message, hint);
            }
            Some(shown) if seen.contains(&shown) => {
                let message = format!("the role `{shown}` stands twice");
                error(findings, codes::TOKEN_ROLES, role, message, "remove one of them");
            }
            Some(shown) => seen.push(shown),
        }
    }
    let bot = filled(spec, &["bot_name"]);
    match (bot, seen.contains(&BOT_ROLE)) {
        (Some(node), false) => {
            let hint = "add the role `Bot`, or remove `bot_name`";
            let message = "`bot_name` needs the role `Bot`";
            error(findings, codes::TOKEN_BOT, node, message, hint);
        }
        (None, true) => {
            let hint = "say which bot joins with it: `bot_name: example`";
            error(findings, codes::TOKEN_BOT, spec, "the role `Bot` needs `bot_name`", hint);
        }
        (Some(_), true) | (None, false) => {}
    }
}

fn join(method: &Method, spec: &Node, node: &Node, findings: &mut Findings<'_>) {
    let name = method.name;
    let block = if method.block.is_empty() { Some(spec) } else { at(spec, &[method.block]) };
    let Some(block) = block else {
        let message = format!("the join method `{name}` needs `spec.{}`", method.block);
        let hint = format!("add the block `{}` with its rules", method.block);
        return error(findings, codes::TOKEN_BLOCK, node, message, &hint);
    };
    for field in method.required {
        if filled(block, &[field]).is_none() {
            let message = format!("the join method `{name}` needs `{field}`");
            error(findings, codes::TOKEN_FIELD, block, message, "add it");
        }
    }
    for field in method.hosts {
        if let Some(host) = filled(block, &[field])
            && host.text().is_some_and(|text| text.contains('/'))
        {
            let message = format!("`{field}` is a host, without scheme and path");
            error(findings, codes::TOKEN_HOST, host, message, "for example `example.com`");
        }
    }
    if method.has_rules {
        let rules = items(at(block, &["allow"]));
        if rules.is_empty() {
            let message = format!("the join method `{name}` needs `allow` rules");
            error(findings, codes::TOKEN_ALLOW, block, message, "say who may join");
        }
        for rule in rules {
            allow(method, rule, findings);
        }
    }
    (method.more)(block, findings);
}

fn allow(method: &Method, rule: &Node, findings: &mut Findings<'_>) {
    for group in method.one_of {
        if group.iter().all(|field| filled(rule, &[field]).is_none()) {
            let fields: Vec<String> = group.iter().map(|field| format!("`{field}`")).collect();
            let fields = fields.join(" or ");
            let message = format!("a rule of `{}` needs {fields}", method.name);
            error(findings, codes::TOKEN_RULE, rule, message, "or nobody is let in by it");
        }
    }
    for field in method.refused {
        if let Some(node) = filled(rule, &[field]) {
            let message = format!("the join method `{}` has no `{field}`", method.name);
            error(findings, codes::TOKEN_RULE, node, message, "remove it");
        }
    }
}
