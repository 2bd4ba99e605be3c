//! What the labels under `reconciler/` ask of us.

use super::suggest::nearest;
use super::{Adopt, Directives, check, codes};
use crate::kind::{ORIGIN_LABEL, OWNER_LABEL};
use crate::model::tree::NodeValue;
use crate::model::{Findings, Node, Severity, Timestamp, Value};

/// Labels that are for us begin so.
pub(super) const PREFIX: &str = "reconciler/";

const PRUNE: &str = "reconciler/prune";
const ADOPT: &str = "reconciler/adopt";
const PAUSED_UNTIL: &str = "reconciler/paused-until";

/// All directives.
pub(super) const DIRECTIVES: &[&str] = &[PRUNE, ADOPT, PAUSED_UNTIL];

/// Directives that later versions know. Silence about them would look like obedience, and a word
/// that is nearly the same would be another wish.
const LATER: &[&str] = &[
    "reconciler/ignore",
    "reconciler/previously",
    "reconciler/enabled-until",
    "reconciler/enabled-during",
];

/// Reads the directives, and notes the label that only the server sets. (The rules of the kinds
/// warn of the ownership mark.)
pub(super) fn read(root: &Node, findings: &mut Findings<'_>) -> Directives {
    let mut directives = Directives::default();
    let Some(NodeValue::Map(labels)) =
        root.get("metadata").and_then(|metadata| metadata.get("labels")).map(|node| &node.value)
    else {
        return directives;
    };
    for (key, value) in labels {
        let Some(name) = key.text() else { continue };
        if name == ORIGIN_LABEL {
            let message =
                format!("the label `{name}` cannot be set by manifests and is ignored here");
            let hint = Some("you can remove it");
            findings.add(Severity::Note, codes::SERVER_LABEL, &key.span, message, hint);
        } else if name.starts_with(PREFIX) {
            directive(name, key, value, &mut directives, findings);
        }
    }
    directives
}

/// Takes out what [`read`] has read or noted.
pub(super) fn strip(value: &mut Value) {
    let Value::Map(fields) = value else { return };
    let Some(Value::Map(metadata)) = fields.get_mut("metadata") else { return };
    let Some(Value::Map(labels)) = metadata.get_mut("labels") else { return };
    labels
        .retain(|name, _| name != ORIGIN_LABEL && name != OWNER_LABEL && !name.starts_with(PREFIX));
}

fn directive(
    name: &str,
    key: &Node,
    value: &Node,
    directives: &mut Directives,
    findings: &mut Findings<'_>,
) {
    let text = value.text().unwrap_or_default();
    let wanted = match name {
        PRUNE => match text {
            "true" => return directives.keep = false,
            "false" => return directives.keep = true,
            _ => "`\"true\"` or `\"false\"`",
        },
        ADOPT => match text {
            "never" => return directives.adopt = Adopt::Never,
            "if-unowned" => return directives.adopt = Adopt::IfUnowned,
            "always" => return directives.adopt = Adopt::Always,
            _ => "`never`, `if-unowned` or `always`",
        },
        PAUSED_UNTIL => match Timestamp::parse(text) {
            Some(until) => return directives.paused_until = Some(until),
            None => "a time like `\"2030-01-01T00:00:00Z\"`",
        },
        _ if LATER.contains(&name) => {
            let message = format!("`{name}` is not supported by this version yet");
            let hint = Some("remove it: this version would not obey it");
            findings.add(Severity::Error, codes::UNKNOWN_DIRECTIVE, &key.span, message, hint);
            return;
        }
        _ => {
            let message = format!("there is no directive `{name}`");
            let hint = match nearest(name, DIRECTIVES.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known directives: {}", check::list(DIRECTIVES)),
            };
            let hint = Some(hint.as_str());
            findings.add(Severity::Error, codes::UNKNOWN_DIRECTIVE, &key.span, message, hint);
            return;
        }
    };
    let message = format!("`{name}` must be {wanted}");
    let hint = Some("use such a value, or remove the label");
    findings.add(Severity::Error, codes::BAD_DIRECTIVE, &value.span, message, hint);
}
