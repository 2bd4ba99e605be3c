//! What a caller may do: the rules and labels of the roles that the caller has.
//!
//! Conditions (`where`) and label expressions are not evaluated: an allowance that has one allows
//! nothing, a denial that has one always denies.

use std::collections::BTreeMap;

use super::labels::Selector;
use super::{Tx, kube_cluster, role};
use crate::plane::status::Status;
use crate::wire::message::{types, wrappers};

/// What everybody may read and list, whatever the roles say.
const READABLE: &[&str] = &[
    "node",
    "proxy",
    "auth_server",
    "tunnel",
    "cluster_auth_preference",
    "cluster_name",
    "ssh_session",
    "app_server",
    "remote_cluster",
    "kube_server",
    "db_server",
    "db",
    "app",
    "windows_desktop_service",
    "windows_desktop",
    "dynamic_windows_desktop",
    "kube_cluster",
    "vnet_config",
    "spiffe_federation",
    "saml_idp_service_provider",
    "aws_identity_center",
    "git_server",
];

/// Reads certificate authorities without their private keys; who may `read` may do that too.
pub(super) const READ_NO_SECRETS: &str = "readnosecrets";

/// Refuses a caller one of whose roles is not there, in everything and with the real server's
/// code: it looks the roles up before it looks at the call.
pub(super) fn admit(tx: &Tx<'_>) -> Result<(), Status> {
    if tx.caller.admin {
        return Ok(());
    }
    match tx.caller.roles.iter().find(|name| !role::exists(tx, name)) {
        None => Ok(()),
        Some(name) => Err(Status::not_found(format!("access denied\n\trole {name} is not found"))),
    }
}

/// Refuses a caller whose roles lack one of the verbs on the kind; names all that are lacking.
pub(super) fn check(tx: &Tx<'_>, kind: &str, verbs: &[&str]) -> Result<(), Status> {
    if tx.caller.admin {
        return Ok(());
    }
    let specs = role::specs(tx, &tx.caller.roles);
    let lacking: Vec<_> = verbs
        .iter()
        .filter(|verb| !permits(&specs, kind, verb))
        .map(|verb| format!("access denied to perform action {verb:?} on {kind:?}"))
        .collect();
    if lacking.is_empty() { Ok(()) } else { Err(Status::denied(lacking.join(", "))) }
}

fn permits(specs: &[types::RoleSpecV6], kind: &str, verb: &str) -> bool {
    let denied = specs.iter().filter_map(|spec| spec.deny.as_ref());
    if denied.flat_map(|it| &it.rules).any(|rule| covers(rule, kind, verb)) {
        return false;
    }
    let mut allowed = specs.iter().filter_map(|spec| spec.allow.as_ref()).flat_map(|it| &it.rules);
    implicitly(kind, verb)
        || allowed.any(|rule| rule.r#where.is_empty() && covers(rule, kind, verb))
}

fn implicitly(kind: &str, verb: &str) -> bool {
    match kind {
        "cert_authority" => ["list", READ_NO_SECRETS].contains(&verb),
        _ => READABLE.contains(&kind) && ["list", "read", READ_NO_SECRETS].contains(&verb),
    }
}

fn covers(rule: &types::Rule, kind: &str, verb: &str) -> bool {
    let has = |list: &[String], word: &str| list.iter().any(|it| it == "*" || it == word);
    let verbs = has(&rule.verbs, verb) || verb == READ_NO_SECRETS && has(&rule.verbs, "read");
    verbs && has(&rule.resources, kind)
}

/// Which labels the caller's roles reach, of one kind of resource; made once for many.
#[derive(Debug)]
pub(super) struct Reach {
    everything: bool,
    /// Whether some role says something of labels.
    used: bool,
    allow: Vec<Selector>,
    deny: Vec<Selector>,
}

impl Reach {
    /// What Kubernetes clusters the caller reaches.
    pub(super) fn of_kube(tx: &Tx<'_>) -> Self {
        Self::new(tx, |it| {
            (it.kubernetes_labels.as_ref(), it.kubernetes_labels_expression.as_str())
        })
    }

    /// What remote clusters the caller reaches.
    pub(super) fn of_remote(tx: &Tx<'_>) -> Self {
        Self::new(tx, |it| (it.cluster_labels.as_ref(), it.cluster_labels_expression.as_str()))
    }

    fn new(tx: &Tx<'_>, matchers: Matchers) -> Self {
        let mut reach =
            Self { everything: tx.caller.admin, used: false, allow: Vec::new(), deny: Vec::new() };
        if tx.caller.admin {
            return reach;
        }
        for spec in role::specs(tx, &tx.caller.roles) {
            if let Some((labels, expression)) = spec.allow.as_ref().map(matchers) {
                let labelled = labels.is_some_and(|labels| !labels.values.is_empty());
                reach.used |= labelled || !expression.is_empty();
                if expression.is_empty() {
                    reach.allow.push(Selector::of(labels));
                }
            }
            if let Some((labels, expression)) = spec.deny.as_ref().map(matchers) {
                reach.deny.push(Selector::of(labels));
                if !expression.is_empty() {
                    let all = [("*".to_owned(), vec!["*".to_owned()])];
                    reach.deny.push(Selector::new(all.iter().map(|(key, it)| (key, it))));
                }
            }
        }
        reach
    }

    /// Whether these labels are reached. A denial that cannot be read denies.
    fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        self.everything
            || self.allow.iter().any(|it| it.matches(labels))
                && !self.deny.iter().any(|it| it.check(labels) != Some(false))
    }

    /// Whether the Kubernetes cluster is reached, by its own labels and the results of commands.
    pub(super) fn kube(&self, cluster: &types::KubernetesClusterV3) -> bool {
        self.has(&kube_cluster::all_labels(cluster))
    }

    /// Refuses a Kubernetes cluster that is not reached.
    pub(super) fn check_kube(&self, cluster: &types::KubernetesClusterV3) -> Result<(), Status> {
        if self.kube(cluster) { Ok(()) } else { Err(kube_denied()) }
    }

    /// Whether the remote cluster is reached. One without labels is reached by everybody, unless
    /// a role of the caller says something of labels.
    pub(super) fn remote(&self, cluster: &types::RemoteClusterV3) -> bool {
        let all = cluster.metadata.clone().unwrap_or_default().labels;
        all.is_empty() && !self.used || self.has(&all)
    }
}

type Matchers =
    for<'a> fn(&'a types::RoleConditions) -> (Option<&'a wrappers::LabelValues>, &'a str);

/// The refusal of a Kubernetes cluster.
pub(super) fn kube_denied() -> Status {
    Status::denied(
        "access to kube_cluster denied. User does not have permissions. Confirm Kubernetes user \
         or group.",
    )
}
