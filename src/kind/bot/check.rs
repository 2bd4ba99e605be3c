//! Rules of a bot beyond its field list.

use crate::kind::check::{at, filled, is_plain, items, named, role_names, warning};
use crate::kind::codes;
use crate::model::tree::NodeValue;
use crate::model::{Findings, Node, duration};

/// Checks one bot.
pub(super) fn check(bot: &Node, findings: &mut Findings<'_>) {
    named(bot, is_storable, findings);
    if let Some(node) = filled(bot, &["metadata", "description"]) {
        let message = "the server does not keep `metadata.description` of this kind";
        let hint = "use a label, or a comment in the file";
        warning(findings, codes::METADATA_LOST, node, message, hint);
    }
    role_names(at(bot, &["spec", "roles"]), findings);
    if let Some(node) = at(bot, &["spec", "max_session_ttl"])
        && let NodeValue::Scalar { text, .. } = &node.value
        && duration::parse(text).is_ok_and(|limit| limit < 0)
    {
        let message = "`max_session_ttl` must not be negative; the server takes 30 hours instead";
        warning(findings, codes::BOT_TTL, node, message, "write how long it may last, `12h`");
    }
    for one in items(at(bot, &["spec", "traits"])) {
        if filled(one, &["name"]).is_none() || filled(one, &["values"]).is_none() {
            let hint = "`{name: logins, values: [root]}`";
            warning(findings, codes::TRAIT_EMPTY, one, "the trait says nothing", hint);
        }
    }
}

/// The server stores a user and a role `bot-NAME`, with `-` in the place of each space.
fn is_storable(name: &str) -> bool {
    name.chars().all(|c| c == ' ' || is_plain(c))
}
