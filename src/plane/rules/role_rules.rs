//! What the server refuses in a role, after defaults.

use super::{metadata, role_grants, role_kubernetes};
use crate::plane::status::Status;
use crate::wire::message::types;

/// Refuses what no edition accepts, in the order of the server, which decides the text.
pub(super) fn check(role: &types::RoleV6) -> Result<(), Status> {
    let version = role.version.as_str();
    let spec = role.spec.clone().unwrap_or_default();
    let options = spec.options.clone().unwrap_or_default();
    let allow = spec.allow.clone().unwrap_or_default();
    let deny = spec.deny.clone().unwrap_or_default();
    check_namespaces("allow", &allow.namespaces)?;
    role_kubernetes::check(&allow.kubernetes_resources, version)?;
    role_kubernetes::check(&deny.kubernetes_resources, version)?;
    check_namespaces("deny", &deny.namespaces)?;
    for request in [&allow.request, &deny.request].into_iter().flatten() {
        role_kubernetes::check_request(&request.kubernetes_resources, version)?;
    }
    check_options(&options)?;
    check_wildcards(&allow)?;
    role_grants::check(&spec)?;
    check_rules("allow", &allow.rules)?;
    check_rules("deny", &deny.rules)?;
    role_grants::check_impersonation(allow.impersonate.as_ref())?;
    if deny.impersonate.as_ref().is_some_and(|impersonate| !impersonate.r#where.is_empty()) {
        return Err(Status::invalid("'where' is not supported in deny.impersonate conditions"));
    }
    role_grants::check_impersonation(deny.impersonate.as_ref())
}

/// Refuses two forms of the same option, which is looked at before all else.
pub(super) fn check_forwarding(role: &types::RoleV6) -> Result<(), Status> {
    let options = role.spec.as_ref().and_then(|spec| spec.options.as_ref());
    let both =
        |it: &types::RoleOptions| it.port_forwarding.is_some() && it.ssh_port_forwarding.is_some();
    if options.is_some_and(both) {
        return Err(Status::invalid(
            "options define both 'port_forwarding' and 'ssh_port_forwarding', only one can be set",
        ));
    }
    Ok(())
}

/// Refuses the option that ended with version 7; the last look at what a role says.
pub(super) fn check_idp(role: &types::RoleV6) -> Result<(), Status> {
    let options = role.spec.as_ref().and_then(|spec| spec.options.as_ref());
    if role.version == "v8" && options.is_some_and(|options| options.idp.is_some()) {
        return Err(Status::invalid("idp option is only supported in role version 7 and below"));
    }
    Ok(())
}

/// Refuses what only the enterprise edition accepts.
pub(super) fn check_edition(role: &types::RoleV6) -> Result<(), Status> {
    let spec = role.spec.clone().unwrap_or_default();
    let options = spec.options.unwrap_or_default();
    let allow = spec.allow.unwrap_or_default();
    let only = |what: &str| {
        Err(Status::denied(format!("role {what} is only available in enterprise subscriptions")))
    };
    if options.pin_source_ip {
        return only("option pin_source_ip");
    }
    if options.max_sessions > 0 {
        return only("option max_sessions");
    }
    if ["always", "reason"].contains(&options.request_access.as_str()) {
        return only(&format!("option request_access: {}", options.request_access));
    }
    let request = allow.request.unwrap_or_default();
    if !request.thresholds.is_empty() {
        return only("field allow.request.thresholds");
    }
    let review = allow.review_requests.unwrap_or_default();
    if review != types::AccessReviewConditions::default() {
        return only("field allow.review_requests");
    }
    if !request.search_as_roles.is_empty() {
        return only("field allow.search_as_roles");
    }
    Ok(())
}

/// Refuses hardware keys, which are looked at after the rest.
pub(super) fn check_hardware_keys(role: &types::RoleV6) -> Result<(), Status> {
    let options = role.spec.as_ref().and_then(|spec| spec.options.as_ref());
    match options.map_or(types::RequireMfaType::Off, types::RoleOptions::require_mfa_type) {
        types::RequireMfaType::Off | types::RequireMfaType::Session => Ok(()),
        types::RequireMfaType::SessionAndHardwareKey
        | types::RequireMfaType::HardwareKeyTouch
        | types::RequireMfaType::HardwareKeyPin
        | types::RequireMfaType::HardwareKeyTouchAndPin => {
            Err(Status::denied("Hardware Key support is only available with an enterprise license"))
        }
    }
}

fn check_options(options: &types::RoleOptions) -> Result<(), Status> {
    let invalid = |option: &str, value: &str| {
        Err(Status::invalid(format!("invalid value for role option {option}: {value}")))
    };
    for recording in &options.bpf {
        if !["command", "disk", "network"].contains(&recording.as_str()) {
            return invalid("enhanced_recording", recording);
        }
    }
    if !["", "strict", "best_effort"].contains(&options.lock.as_str()) {
        return invalid("lock", &options.lock);
    }
    Ok(())
}

fn check_namespaces(side: &str, namespaces: &[String]) -> Result<(), Status> {
    for (index, namespace) in namespaces.iter().enumerate() {
        if namespace != "*" {
            metadata::check_namespace(namespace).map_err(|status| Status {
                message: format!("{side}: namespaces[{index}]: {}", status.message),
                ..status
            })?;
        }
    }
    Ok(())
}

fn check_rules(side: &str, rules: &[types::Rule]) -> Result<(), Status> {
    for (index, rule) in rules.iter().enumerate() {
        let missing = if rule.resources.is_empty() {
            "resources to match"
        } else if rule.verbs.is_empty() {
            "verbs"
        } else {
            continue;
        };
        return Err(Status::invalid(format!(
            "failed to process '{side}' rule {index}: missing {missing}"
        )));
    }
    Ok(())
}

fn check_wildcards(allow: &types::RoleConditions) -> Result<(), Status> {
    let lists = [
        (" matcher", "logins", &allow.logins),
        (" matcher", "aws_role_arns", &allow.aws_role_ar_ns),
        (" matcher", "allow.azure_identities", &allow.azure_identities),
        (" matcher", "allow.gcp_service_accounts", &allow.gcp_service_accounts),
        ("", "allow.database_roles", &allow.database_roles),
    ];
    for (what, field, list) in lists {
        if list.iter().any(|it| it == "*") {
            return Err(Status::invalid(format!("wildcard{what} is not allowed in {field}")));
        }
    }
    Ok(())
}
