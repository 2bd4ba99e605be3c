//! What the roles of an identity allow and deny, and where. A deny rule wins over whatever any
//! role allows.

use std::collections::BTreeSet;

use crate::kind::{KINDS, Kind};
use crate::wire::message::{types, wrappers};

/// Everything, in rules and in labels.
const ANY: &str = "*";

/// What an agent does with a kind, in the words of rules.
pub(super) fn verbs(kind: &Kind) -> impl Iterator<Item = &'static str> {
    let does = [
        ("list", true),
        ("read", true),
        ("create", kind.rpc.create.is_some()),
        ("update", kind.rpc.update.is_some()),
        ("delete", kind.rpc.delete.is_some()),
    ];
    does.into_iter().filter_map(|(verb, does)| does.then_some(verb))
}

/// A part of a role that denies something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Denial {
    /// The role.
    pub role: String,
    /// Where in it, `spec.deny.rules[0]`.
    pub at: String,
    /// What stands there, as YAML of one line.
    pub says: String,
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { role, at, says } = self;
        write!(f, "role `{role}`, {at}: {says}")
    }
}

#[derive(Debug)]
struct DenyRule {
    rule: types::Rule,
    denial: Denial,
}

/// All roles of an identity together.
#[derive(Debug, Default)]
pub(super) struct Rights {
    allowed: Vec<types::Rule>,
    denied: Vec<DenyRule>,
    /// Fields of labels that let everything through.
    open: BTreeSet<&'static str>,
    /// Fields of labels that let something not through.
    hidden: Vec<(&'static str, Denial)>,
    /// There is a role of which nobody knows what it says.
    pub unread: bool,
}

/// What is allowed of a kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// Surely.
    pub allowed: Vec<&'static str>,
    /// Not by any role.
    pub lacking: Vec<&'static str>,
    /// By a deny rule, with it.
    pub denied: Vec<(&'static str, Denial)>,
    /// Perhaps not: a deny rule with a condition.
    pub doubtful: Vec<(&'static str, Denial)>,
    /// Labels that would have to let everything through.
    pub closed: Option<&'static str>,
    /// Labels that hide some.
    pub hidden: Vec<Denial>,
}

impl Rights {
    /// Those of the embedded plane's own caller.
    pub(super) fn all() -> Self {
        let any = || vec![ANY.to_owned()];
        let rule = types::Rule { resources: any(), verbs: any(), ..types::Rule::default() };
        let open = KINDS.iter().filter_map(|kind| kind.sight.allowed_by()).collect();
        Self { allowed: vec![rule], open, ..Self::default() }
    }

    /// Adds what one role says.
    pub(super) fn add(&mut self, name: &str, role: types::RoleV6) {
        let Some(types::RoleSpecV6 { allow, deny, .. }) = role.spec else { return };
        let fields: BTreeSet<&'static str> =
            KINDS.iter().filter_map(|kind| kind.sight.denied_by()).collect();
        if let Some(allow) = allow {
            let opens = |field: &&&'static str| opens_all(labels(&allow, field).0);
            self.open.extend(fields.iter().filter(opens));
            self.allowed.extend(allow.rules);
        }
        let Some(deny) = deny else { return };
        for field in fields {
            let denial = |at: String, says: String| Denial { role: name.to_owned(), at, says };
            let (values, expression) = labels(&deny, field);
            if let Some(says) = values.and_then(shown) {
                self.hidden.push((field, denial(format!("spec.deny.{field}"), says)));
            }
            if !expression.is_empty() {
                let at = format!("spec.deny.{field}_expression");
                self.hidden.push((field, denial(at, expression.to_owned())));
            }
        }
        for (index, rule) in deny.rules.into_iter().enumerate() {
            let at = format!("spec.deny.rules[{index}]");
            let condition = match rule.r#where.as_str() {
                "" => String::new(),
                condition => format!(", where: {condition}"),
            };
            let (resources, verbs) = (list(&rule.resources), list(&rule.verbs));
            let says = format!("{{resources: {resources}, verbs: {verbs}{condition}}}");
            let denial = Denial { role: name.to_owned(), at, says };
            self.denied.push(DenyRule { rule, denial });
        }
    }

    /// What they mean for a kind. A rule with a condition says nothing certain: one that allows
    /// is left out, one that denies is doubtful.
    pub(super) fn judge(&self, kind: &Kind) -> Judged {
        let mut judged = Judged::default();
        for verb in verbs(kind) {
            let covers = |rule: &&types::Rule| {
                says(&rule.resources, kind.name.as_str()) && says(&rule.verbs, verb)
            };
            let allowed = self.allowed.iter().filter(covers).any(|rule| rule.r#where.is_empty());
            let mut certain = false;
            for DenyRule { rule, denial } in self.denied.iter().filter(|it| covers(&&it.rule)) {
                if rule.r#where.is_empty() {
                    certain = true;
                    judged.denied.push((verb, denial.clone()));
                } else {
                    judged.doubtful.push((verb, denial.clone()));
                }
            }
            if !allowed {
                judged.lacking.push(verb);
            } else if !certain {
                judged.allowed.push(verb);
            }
        }
        judged.closed = kind.sight.allowed_by().filter(|field| !self.open.contains(field));
        let hides = kind.sight.denied_by();
        let hidden = self.hidden.iter().filter(|(field, _)| hides == Some(*field));
        judged.hidden = hidden.map(|(_, denial)| denial.clone()).collect();
        judged
    }
}

fn says(words: &[String], word: &str) -> bool {
    words.iter().any(|it| it == word || it == ANY)
}

/// A role's labels of that name, and the expression that can stand beside them.
fn labels<'a>(
    conditions: &'a types::RoleConditions,
    field: &str,
) -> (Option<&'a wrappers::LabelValues>, &'a str) {
    match field {
        "kubernetes_labels" => {
            (conditions.kubernetes_labels.as_ref(), &conditions.kubernetes_labels_expression)
        }
        "cluster_labels" => {
            (conditions.cluster_labels.as_ref(), &conditions.cluster_labels_expression)
        }
        _ => (None, ""),
    }
}

fn opens_all(labels: Option<&wrappers::LabelValues>) -> bool {
    labels
        .and_then(|labels| labels.values.get(ANY))
        .is_some_and(|values| values.values.iter().any(|value| value == ANY))
}

/// `{env: [secret]}`; nothing where there is no label.
fn shown(labels: &wrappers::LabelValues) -> Option<String> {
    let one = |(key, values): (&String, &wrappers::StringValues)| {
        format!("{}: {}", word(key), list(&values.values))
    };
    let all: Vec<String> = labels.values.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("{{{}}}", all.join(", ")))
}

fn list(words: &[String]) -> String {
    let all: Vec<String> = words.iter().map(|it| word(it)).collect();
    format!("[{}]", all.join(", "))
}

/// A word as YAML needs it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let starts_plain = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts_plain && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Judged, Rights, list};
    use crate::kind;
    use crate::wire::message::{types, wrappers};

    const EVERY: [&str; 5] = ["list", "read", "create", "update", "delete"];

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&it| it.into()).collect()
    }

    fn rule(resources: &[&str], verbs: &[&str], condition: &str) -> types::Rule {
        types::Rule {
            resources: words(resources),
            verbs: words(verbs),
            r#where: condition.into(),
            ..Default::default()
        }
    }

    fn labels(key: &str, value: &str) -> wrappers::LabelValues {
        let values = wrappers::StringValues { values: words(&[value]) };
        wrappers::LabelValues { values: [(key.into(), values)].into() }
    }

    fn role(allow: types::RoleConditions, deny: types::RoleConditions) -> types::RoleV6 {
        let spec = types::RoleSpecV6 { allow: Some(allow), deny: Some(deny), ..Default::default() };
        types::RoleV6 { spec: Some(spec), ..Default::default() }
    }

    /// A role that may do everything, and one that denies this.
    fn but(deny: types::RoleConditions, kind: &str) -> Judged {
        let everything = types::RoleConditions {
            kubernetes_labels: Some(labels("*", "*")),
            rules: vec![rule(&["*"], &["*"], "")],
            ..Default::default()
        };
        let mut rights = Rights::default();
        rights.add("all", role(everything, types::RoleConditions::default()));
        rights.add("but", role(types::RoleConditions::default(), deny));
        rights.judge(kind::find(kind).unwrap())
    }

    fn rules(rules: Vec<types::Rule>) -> types::RoleConditions {
        types::RoleConditions { rules, ..Default::default() }
    }

    #[test]
    fn what_is_allowed_is_said_for_each_verb() {
        let judged = but(types::RoleConditions::default(), "role");
        assert_eq!(judged, Judged { allowed: EVERY.to_vec(), ..Judged::default() });
        // Only what we do: nobody makes remote clusters.
        let judged = but(types::RoleConditions::default(), "remote_cluster");
        assert_eq!(judged.allowed, ["list", "read", "update"]);
        let nothing = Rights::default().judge(kind::find("workload_cluster").unwrap());
        assert_eq!(nothing.lacking, EVERY);
    }

    #[test]
    fn a_deny_rule_is_named() {
        let deny = || rules(vec![rule(&["user"], &["*"], ""), rule(&["role"], &["delete"], "")]);
        let judged = but(deny(), "role");
        assert_eq!(judged.allowed, ["list", "read", "create", "update"]);
        assert_eq!(judged.lacking, [""; 0], "a role that allows it would not help");
        let [(verb, denial)] = &judged.denied[..] else { panic!("{judged:?}") };
        assert_eq!(*verb, "delete");
        let expected = "role `but`, spec.deny.rules[1]: {resources: [role], verbs: [delete]}";
        assert_eq!(denial.to_string(), expected);
        assert_eq!(but(deny(), "user").denied.len(), 5);
        assert_eq!(but(deny(), "token").allowed, EVERY);
    }

    #[test]
    fn a_condition_leaves_doubt() {
        let condition = "equals(resource.metadata.name, \"a\")";
        let judged = but(rules(vec![rule(&["*"], &["update"], condition)]), "role");
        assert_eq!(judged.denied, []);
        assert_eq!(judged.allowed, EVERY);
        let [("update", denial)] = &judged.doubtful[..] else { panic!("{judged:?}") };
        assert!(denial.says.contains(condition), "{denial}");
    }

    #[test]
    fn denied_labels_hide_clusters() {
        let conditions = types::RoleConditions {
            kubernetes_labels: Some(labels("env", "secret")),
            cluster_labels_expression: "labels[\"a\"] == \"b\"".into(),
            ..Default::default()
        };
        let judged = but(conditions.clone(), "kube_cluster");
        assert_eq!(judged.closed, None);
        let [hidden] = &judged.hidden[..] else { panic!("{judged:?}") };
        let expected = "role `but`, spec.deny.kubernetes_labels: {env: [secret]}";
        assert_eq!(hidden.to_string(), expected);
        let judged = but(conditions.clone(), "remote_cluster");
        assert_eq!(judged.hidden[0].at, "spec.deny.cluster_labels_expression");
        assert_eq!(but(conditions, "role").hidden, []);
        // Labels that are there and empty deny nothing.
        let empty = types::RoleConditions {
            kubernetes_labels: Some(wrappers::LabelValues::default()),
            ..Default::default()
        };
        assert_eq!(but(empty, "kube_cluster").hidden, []);
    }

    #[test]
    fn words_are_quoted_where_yaml_needs_it() {
        assert_eq!(list(&words(&["role", "*", "a'b", "1"])), "[role, '*', 'a''b', '1']");
    }
}
