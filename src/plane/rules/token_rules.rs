//! What a token must say: its system roles, and what its join method demands.

use super::metadata::quoted;
use super::token_methods as methods;
use crate::plane::status::Status;
use crate::wire::message::types::ProvisionTokenSpecV2;

/// System roles by the words that name them, in lower case.
const ROLES: &[(&str, &str)] = &[
    ("auth", "Auth"),
    ("node", "Node"),
    ("proxy", "Proxy"),
    ("admin", "Admin"),
    ("provisiontoken", "ProvisionToken"),
    ("trusted_cluster", "Trusted_cluster"),
    ("trustedcluster", "Trusted_cluster"),
    ("signup", "Signup"),
    ("nop", "Nop"),
    ("remoteproxy", "RemoteProxy"),
    ("remote_proxy", "RemoteProxy"),
    ("kube", "Kube"),
    ("app", "App"),
    ("db", "Db"),
    ("windowsdesktop", "WindowsDesktop"),
    ("windows_desktop", "WindowsDesktop"),
    ("bot", "Bot"),
    ("instance", "Instance"),
    ("discovery", "Discovery"),
    ("okta", "Okta"),
    ("mdm", "MDM"),
    ("accessgraphplugin", "AccessGraphPlugin"),
];

const BOT: &str = "Bot";

/// Nanoseconds: how old an instance identity document of AWS may be, unless told otherwise.
const AWS_TTL: i64 = 5 * 60 * 1_000_000_000;

/// Whether the name is one of a system role, which no role may bear.
pub(super) fn is_system_role(name: &str) -> bool {
    ROLES.iter().any(|(_, role)| *role == name)
}

pub(super) fn invalid<T>(text: impl Into<String>) -> Result<T, Status> {
    Err(Status::invalid(text))
}

pub(super) fn require(holds: bool, text: impl FnOnce() -> String) -> Result<(), Status> {
    if holds { Ok(()) } else { Err(Status::invalid(text())) }
}

/// Refuses what only the enterprise edition accepts.
pub(super) fn check_edition(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let github = spec.git_hub.as_ref().filter(|_| spec.join_method == "github");
    let what = if github.is_some_and(|it| !it.enterprise_server_host.is_empty()) {
        "github enterprise server joining"
    } else if spec.join_method == "spacelift" {
        "spacelift joining"
    } else if spec.join_method == "tpm" {
        "tpm joining"
    } else {
        return Ok(());
    };
    Err(Status::denied(format!("{what}\n\tthis feature requires Teleport Enterprise")))
}

/// Checks a token's specification and sets the defaults.
pub(super) fn check(spec: &mut ProvisionTokenSpecV2) -> Result<(), Status> {
    check_roles(&mut spec.roles)?;
    let bot = spec.roles.iter().any(|role| role == BOT);
    if bot && spec.bot_name.is_empty() {
        return invalid(format!("token with role {} must set bot_name", quoted(BOT)));
    }
    if !bot && !spec.bot_name.is_empty() {
        return invalid(format!("can only set bot_name on token with role {}", quoted(BOT)));
    }
    if spec.join_method.is_empty() {
        let method = if spec.allow.is_empty() { "token" } else { "ec2" };
        method.clone_into(&mut spec.join_method);
    }
    check_method(spec)
}

fn check_roles(roles: &mut [String]) -> Result<(), Status> {
    if roles.is_empty() {
        return invalid("provisioning token is missing roles");
    }
    for role in roles.iter_mut() {
        let word = role.trim().to_lowercase();
        if let Some((_, known)) = ROLES.iter().find(|(it, _)| *it == word) {
            (*known).clone_into(role);
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for role in roles.iter() {
        if !is_system_role(role) {
            return invalid(format!("role {role} is not registered"));
        }
        if !seen.insert(role) {
            return invalid(format!("duplicate role {}", quoted(role)));
        }
    }
    Ok(())
}

fn check_method(spec: &mut ProvisionTokenSpecV2) -> Result<(), Status> {
    match spec.join_method.as_str() {
        "token" => require(spec.allow.is_empty(), || {
            "allow rules are not compatible with the \"token\" join method".to_owned()
        }),
        "ec2" => check_ec2(spec),
        "iam" => check_iam(spec),
        "github" => check_github(spec),
        "kubernetes" => check_kubernetes(spec).map_err(within("spec.kubernetes:")),
        "azure" => check_azure(spec),
        "gcp" => check_gcp(spec),
        "gitlab" => methods::check_gitlab(spec),
        "circleci" => methods::check_circleci(spec),
        "spacelift" => methods::check_spacelift(spec),
        "tpm" => methods::check_tpm(spec),
        "terraform_cloud" => methods::check_terraform(spec),
        "bitbucket" => methods::check_bitbucket(spec),
        "oracle" => methods::check_oracle(spec),
        "azure_devops" => methods::check_azure_devops(spec),
        "bound_keypair" => methods::check_bound_keypair(spec),
        other => invalid(format!("unknown join method {}", quoted(other))),
    }
}

/// Puts an error under what it belongs to, as the real server shows nested errors.
pub(super) fn within(what: &str) -> impl FnOnce(Status) -> Status + '_ {
    move |status| Status { message: format!("{what}\n\t{}", status.message), ..status }
}

/// What a method's own part is, or the refusal of a token without it.
pub(super) fn part<'a, T>(part: Option<&'a T>, text: &str) -> Result<&'a T, Status> {
    part.ok_or_else(|| Status::invalid(text))
}

pub(super) fn one_rule(some: bool, method: &str) -> Result<(), Status> {
    require(some, || {
        format!("the {} join method requires at least one token allow rule", quoted(method))
    })
}

fn check_ec2(spec: &mut ProvisionTokenSpecV2) -> Result<(), Status> {
    require(!spec.allow.is_empty(), || {
        "the \"ec2\" join method requires defined token allow rules".to_owned()
    })?;
    for rule in &spec.allow {
        require(rule.awsarn.is_empty(), || {
            "the \"ec2\" join method does not support the \"aws_arn\" parameter".to_owned()
        })?;
        require(!rule.aws_account.is_empty() || !rule.aws_role.is_empty(), || {
            "allow rule for \"ec2\" join method must set \"aws_account\" or \"aws_role\"".to_owned()
        })?;
    }
    if spec.awsiidttl == 0 {
        spec.awsiidttl = AWS_TTL;
    }
    Ok(())
}

fn check_iam(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    require(!spec.allow.is_empty(), || {
        "the \"iam\" join method requires defined token allow rules".to_owned()
    })?;
    for rule in &spec.allow {
        for (field, set) in
            [("aws_role", !rule.aws_role.is_empty()), ("aws_regions", !rule.aws_regions.is_empty())]
        {
            require(!set, || {
                format!("the \"iam\" join method does not support the \"{field}\" parameter")
            })?;
        }
        // The real text names the other method.
        require(!rule.aws_account.is_empty() || !rule.awsarn.is_empty(), || {
            "allow rule for \"ec2\" join method must set \"aws_account\" or \"aws_arn\"".to_owned()
        })?;
    }
    Ok(())
}

fn check_github(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let github = part(
        spec.git_hub.as_ref(),
        "\"github\" configuration must be provided for join method \"github\"",
    )?;
    one_rule(!github.allow.is_empty(), "github")?;
    for rule in &github.allow {
        let some = [&rule.sub, &rule.repository, &rule.repository_owner];
        require(some.iter().any(|it| !it.is_empty()), || {
            "allow rule for \"github\" must include at least one of \"repository\", \
             \"repository_owner\" or \"sub\""
                .to_owned()
        })?;
    }
    require(!github.enterprise_server_host.contains('/'), || {
        "'spec.github.enterprise_server_host' should not contain the scheme or path".to_owned()
    })?;
    let both = !github.enterprise_server_host.is_empty() && !github.enterprise_slug.is_empty();
    require(!both, || {
        "'spec.github.enterprise_server_host' and `spec.github.enterprise_slug` cannot both be set"
            .to_owned()
    })
}

fn check_kubernetes(spec: &mut ProvisionTokenSpecV2) -> Result<(), Status> {
    let Some(kubernetes) = &mut spec.kubernetes else {
        return invalid(
            "\"kubernetes\" configuration must be provided for the join method \"kubernetes\"",
        );
    };
    require(!kubernetes.allow.is_empty(), || "allow: at least one rule must be set".to_owned())?;
    for (index, rule) in kubernetes.allow.iter().enumerate() {
        let account = &rule.service_account;
        require(!account.is_empty(), || {
            format!("allow[{index}].service_account: name of service account must be set")
        })?;
        require(account.split(':').count() == 2, || {
            format!(
                "allow[{index}].service_account: name of service account should be in format \
                 \"namespace:service_account\", got {} instead",
                quoted(account)
            )
        })?;
    }
    if kubernetes.r#type.is_empty() {
        "in_cluster".clone_into(&mut kubernetes.r#type);
    }
    let keys = kubernetes.static_jwks.as_ref();
    match kubernetes.r#type.as_str() {
        "in_cluster" => require(keys.is_none(), || {
            "static_jwks: must not be set when type is \"in_cluster\"".to_owned()
        }),
        "static_jwks" => {
            let keys = part(keys, "static_jwks: must be set when type is \"static_jwks\"")?;
            require(!keys.jwks.is_empty(), || {
                "static_jwks.jwks: must be set when type is \"static_jwks\"".to_owned()
            })
        }
        other => invalid(format!(
            "type: must be one of (in_cluster, static_jwks), got {}",
            quoted(other)
        )),
    }
}

fn check_azure(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let azure = part(
        spec.azure.as_ref(),
        "\"azure\" configuration must be provided for the join method \"azure\"",
    )?;
    require(!azure.allow.is_empty(), || {
        "the \"azure\" join method requires defined azure allow rules".to_owned()
    })?;
    require(azure.allow.iter().all(|rule| !rule.subscription.is_empty()), || {
        "the \"azure\" join method requires azure allow rules with non-empty subscription"
            .to_owned()
    })
}

fn check_gcp(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let gcp = part(
        spec.gcp.as_ref(),
        "\"gcp\" configuration must be provided for the join method \"gcp\"",
    )?;
    one_rule(!gcp.allow.is_empty(), "gcp")?;
    require(gcp.allow.iter().all(|rule| !rule.project_i_ds.is_empty()), || {
        "the \"gcp\" join method requires gcp allow rules with at least one project ID".to_owned()
    })
}
