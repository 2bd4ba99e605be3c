//! The role map of a trusted cluster: what is refused.

use std::collections::BTreeSet;

use super::go_regex;
use crate::plane::status::Status;
use crate::wire::message::types;

/// Refuses a map that the server cannot read.
pub(super) fn check(map: &[types::RoleMapping]) -> Result<(), Status> {
    let mut seen = BTreeSet::new();
    for mapping in map {
        let remote = mapping.remote.as_str();
        if remote.is_empty() {
            return Err(Status::invalid("missing 'remote' parameter for role_map"));
        }
        if remote.starts_with('^') && remote.ends_with('$') {
            check_pattern(remote)?;
        }
        if mapping.local.is_empty() {
            return Err(Status::invalid("missing 'local' parameter for 'role_map'"));
        }
        for local in &mapping.local {
            if local.is_empty() {
                return Err(Status::invalid("missing 'local' property of 'role_map' entry"));
            }
            if local == "*" {
                return Err(Status::invalid(
                    "wildcard value is not supported for 'local' property of 'role_map' entry",
                ));
            }
        }
        if !seen.insert(remote) {
            return Err(Status::invalid(format!(
                "remote role '{remote}' match is already specified"
            )));
        }
    }
    Ok(())
}

/// The map's local names that must be roles; those with a `$` are templates.
pub(super) fn local_roles(map: &[types::RoleMapping]) -> impl Iterator<Item = (&str, String)> {
    map.iter().flat_map(|mapping| {
        let shown = format!("{}:[{}]", mapping.remote, mapping.local.join(" "));
        let names = mapping.local.iter().filter(|local| !is_template(local));
        names.map(move |local| (local.as_str(), shown.clone()))
    })
}

/// A `$` that something other than a `$` follows.
fn is_template(local: &str) -> bool {
    local.as_bytes().windows(2).any(|pair| matches!(pair, [b'$', next] if *next != b'$'))
}

/// Refuses a regular expression that Go cannot read. Texts are Go's where they were seen.
fn check_pattern(pattern: &str) -> Result<(), Status> {
    if go_regex::is_valid(pattern) {
        return Ok(());
    }
    let mut text = format!("invalid expression: `{pattern}`");
    if let Err(regex_syntax::Error::Parse(error)) = regex_syntax::Parser::new().parse(pattern)
        && *error.kind() == regex_syntax::ast::ErrorKind::ClassUnclosed
    {
        let rest = pattern.get(error.span().start.offset..).unwrap_or(pattern);
        text = format!("missing closing ]: `{rest}`");
    }
    Err(Status::invalid(format!(
        "failed to parse 'remote' parameter for role_map: error parsing regexp: {text}"
    )))
}
