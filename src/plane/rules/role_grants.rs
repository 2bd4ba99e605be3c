//! What the server refuses in the parts of a role that grant more than access to resources:
//! labels' wildcards, databases, SPIFFE, access requests, impersonation.

use std::net::IpAddr;

use super::metadata::quoted;
use crate::plane::status::Status;
use crate::wire::message::{types, wrappers};

/// Everything.
const WILDCARD: &str = "*";

/// Nanoseconds: an access request is good for 14 days at most.
const REQUEST_MAX: i64 = 14 * 24 * 60 * 60 * 1_000_000_000;

/// Whether a request must give a reason.
const REASON_MODES: [&str; 2] = ["required", "optional"];

/// Refuses what no edition accepts, whoever reads the role.
pub(super) fn check(spec: &types::RoleSpecV6) -> Result<(), Status> {
    if let Some(allow) = &spec.allow {
        check_selectors(allow)?;
        check_permissions("allow", allow)?;
        if allow.database_permissions.iter().flat_map(|it| &it.permissions).any(|it| it == WILDCARD)
        {
            let text = "individual database permissions cannot be wildcards strings";
            return Err(Status::invalid(text));
        }
    }
    if let Some(deny) = &spec.deny {
        check_permissions("deny", deny)?;
    }
    for (side, conditions) in [("allow", &spec.allow), ("deny", &spec.deny)] {
        let Some(conditions) = conditions else { continue };
        for (index, condition) in conditions.spiffe.iter().enumerate() {
            check_spiffe(condition).map_err(|why| {
                Status::invalid(format!("validating spec.{side}.spiffe[{index}]\n\t{why}"))
            })?;
        }
    }
    Ok(())
}

/// Refuses users without roles.
pub(super) fn check_impersonation(
    impersonate: Option<&types::ImpersonateConditions>,
) -> Result<(), Status> {
    if impersonate.is_some_and(|it| !it.users.is_empty() && it.roles.is_empty()) {
        let text = "please set both impersonate.users and impersonate.roles for user impersonation";
        return Err(Status::invalid(text));
    }
    Ok(())
}

/// Refuses what only the server that stores a role looks at, after the edition.
pub(super) fn check_requests(spec: &types::RoleSpecV6) -> Result<(), Status> {
    let none = types::AccessRequestConditions::default();
    let of = |side: &'_ Option<types::RoleConditions>| {
        side.as_ref().and_then(|it| it.request.clone()).unwrap_or_else(|| none.clone())
    };
    let (allow, deny) = (of(&spec.allow), of(&spec.deny));
    if !deny.thresholds.is_empty() {
        return Err(Status::invalid(
            "deny.request cannot contain thresholds, set denial counts in \
             allow.request.thresholds instead",
        ));
    }
    if allow.max_duration > REQUEST_MAX {
        let text = "max access duration must be less than or equal to 336h0m0s";
        return Err(Status::invalid(text));
    }
    Ok(())
}

/// Refuses modes of reasons that are none; the last look of the server.
pub(super) fn check_reasons(spec: &types::RoleSpecV6) -> Result<(), Status> {
    let mode = |side: &Option<types::RoleConditions>| {
        let request = side.as_ref().and_then(|it| it.request.as_ref());
        request.and_then(|it| it.reason.as_ref()).map(|it| it.mode.clone()).unwrap_or_default()
    };
    if !mode(&spec.deny).is_empty() {
        return Err(Status::invalid("request reason mode can be provided only for allow rules"));
    }
    let allowed = mode(&spec.allow);
    if !allowed.is_empty() && !REASON_MODES.contains(&allowed.as_str()) {
        return Err(Status::invalid(format!(
            "unrecognized request reason mode {}, must be one of: [{}]",
            quoted(&allowed),
            REASON_MODES.join(" ")
        )));
    }
    Ok(())
}

/// Only these of an allow rule's labels are looked at, and none of a deny rule's.
fn check_selectors(allow: &types::RoleConditions) -> Result<(), Status> {
    let looked_at = [
        &allow.node_labels,
        &allow.app_labels,
        &allow.kubernetes_labels,
        &allow.database_labels,
        &allow.windows_desktop_labels,
        &allow.group_labels,
        &allow.workload_identity_labels,
    ];
    if looked_at.into_iter().flatten().all(is_selector) {
        return Ok(());
    }
    Err(Status::invalid("selector *:<val> is not supported"))
}

/// The key `*` goes with the value `*` alone.
fn is_selector(labels: &wrappers::LabelValues) -> bool {
    labels.values.get(WILDCARD).is_none_or(|values| values.values == [WILDCARD])
}

fn check_permissions(side: &str, conditions: &types::RoleConditions) -> Result<(), Status> {
    for (index, permission) in conditions.database_permissions.iter().enumerate() {
        let why = if permission.permissions.is_empty() {
            "database permission list cannot be empty"
        } else if permission.permissions.iter().any(String::is_empty) {
            "individual database permissions cannot be empty strings"
        } else if !permission.r#match.as_ref().is_none_or(is_selector) {
            "database permission: selector *:<val> is not supported"
        } else {
            continue;
        };
        let number = index.saturating_add(1);
        let text = format!("failed to process '{side}' db_permission #{number}: {why}");
        return Err(Status::invalid(text));
    }
    Ok(())
}

fn check_spiffe(condition: &types::SpiffeRoleCondition) -> Result<(), String> {
    let path = condition.path.as_str();
    if path.is_empty() {
        return Err("path: should be non-empty".to_owned());
    }
    let regex = path.starts_with('^') && path.ends_with('$');
    if !path.starts_with('/') && !regex {
        return Err("path: should start with / or be a regex expression starting with ^ and \
                    ending with $"
            .to_owned());
    }
    for (index, network) in condition.ipsa_ns.iter().enumerate() {
        if !is_network(network) {
            return Err(format!("validating ip_sans[{index}]: invalid CIDR address: {network}"));
        }
    }
    Ok(())
}

/// `10.0.0.0/8`; the address may lie inside the network.
fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let digits = !bits.is_empty() && bits.bytes().all(|it| it.is_ascii_digit());
    digits && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
}
