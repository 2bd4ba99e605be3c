//! What the join methods of further clouds and build systems demand of a token.

use x509_cert::der::Decode as _;

use super::token_rules::{invalid, one_rule, part, require, within};
use crate::plane::status::Status;
use crate::wire::message::types::{ProvisionTokenSpecV2, provision_token_spec_v2_circle_ci};

pub(super) fn check_gitlab(spec: &mut ProvisionTokenSpecV2) -> Result<(), Status> {
    let Some(gitlab) = &mut spec.git_lab else {
        return invalid("\"gitlab\" configuration must be provided for the join method \"gitlab\"");
    };
    require(!gitlab.allow.is_empty(), || {
        "the \"gitlab\" join method requires defined gitlab allow rules".to_owned()
    })?;
    for rule in &gitlab.allow {
        let some = [&rule.sub, &rule.namespace_path, &rule.project_path, &rule.ci_config_ref_uri];
        require(some.iter().any(|it| !it.is_empty()), || {
            "the \"gitlab\" join method requires allow rules with at least one of ['sub', \
             'project_path', 'namespace_path', 'ci_config_ref_uri'] to ensure security."
                .to_owned()
        })?;
    }
    if gitlab.domain.is_empty() {
        "gitlab.com".clone_into(&mut gitlab.domain);
    }
    require(!gitlab.domain.contains('/'), || {
        "'spec.gitlab.domain' should not contain the scheme or path".to_owned()
    })
}

pub(super) fn check_circleci(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    // The real text has the name like this.
    let circle = part(
        spec.circle_ci.as_ref(),
        "\"cirleci\" configuration must be provided for join method \"circleci\"",
    )?;
    one_rule(!circle.allow.is_empty(), "circleci")?;
    require(!circle.organization_id.is_empty(), || {
        "the \"circleci\" join method requires 'organization_id' to be set".to_owned()
    })?;
    let some = |it: &provision_token_spec_v2_circle_ci::Rule| {
        !it.project_id.is_empty() || !it.context_id.is_empty()
    };
    require(circle.allow.iter().all(some), || {
        "allow rule for \"circleci\" must include at least \"project_id\" or \"context_id\""
            .to_owned()
    })
}

pub(super) fn check_spacelift(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let lift = part(
        spec.spacelift.as_ref(),
        "spec.spacelift: must be configured for the join method \"spacelift\"",
    )?;
    let text = if lift.hostname.is_empty() {
        "hostname: should be set to the hostname of the spacelift tenant".to_owned()
    } else if lift.hostname.contains('/') {
        "hostname: should not contain the scheme or path".to_owned()
    } else if lift.allow.is_empty() {
        "allow: at least one rule must be set".to_owned()
    } else {
        let bad =
            lift.allow.iter().position(|it| it.space_id.is_empty() && it.caller_id.is_empty());
        match bad {
            Some(index) => {
                format!("allow[{index}]: at least one of ['space_id', 'caller_id'] must be set")
            }
            None => return Ok(()),
        }
    };
    invalid(format!("spec.spacelift: failed validation\n\t{text}"))
}

pub(super) fn check_tpm(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let tpm = part(spec.tpm.as_ref(), "spec.tpm: must be configured for the join method \"tpm\"")?;
    let failed = within("spec.tpm: failed validation");
    for (index, authority) in tpm.ek_cert_allowed_c_as.iter().enumerate() {
        check_certificate(authority).map_err(|why| {
            within("spec.tpm: failed validation")(Status::invalid(format!(
                "ekcert_allowed_cas[{index}]: {why}"
            )))
        })?;
    }
    if tpm.allow.is_empty() {
        return Err(failed(Status::invalid("allow: at least one rule must be set")));
    }
    let bad = tpm
        .allow
        .iter()
        .position(|it| it.ek_public_hash.is_empty() && it.ek_certificate_serial.is_empty());
    match bad {
        Some(index) => Err(failed(Status::invalid(format!(
            "allow[{index}]: at least one of ['ek_public_hash', 'ek_certificate_serial'] must be set"
        )))),
        None => Ok(()),
    }
}

/// Refuses text whose first PEM block is no certificate.
fn check_certificate(text: &str) -> Result<(), &'static str> {
    let begin = text.find("-----BEGIN ").and_then(|at| text.get(at..));
    let block = begin.ok_or("no pem block found")?;
    let (label, der) = x509_cert::der::pem::decode_vec(first_block(block).as_bytes())
        .map_err(|_broken| "no pem block found")?;
    if label != "CERTIFICATE" {
        return Err("pem block is not 'CERTIFICATE' type");
    }
    // The rest of the real text is the certificate reader's own.
    x509_cert::Certificate::from_der(&der).map(drop).map_err(|_broken| "parsing certificate")
}

/// A block without what stands behind it, which the reader would not take.
fn first_block(text: &str) -> &str {
    let end = text.find("-----END ").and_then(|at| {
        let line = text.get(at..)?.lines().next()?;
        at.checked_add(line.trim_end().len())
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

pub(super) fn check_terraform(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let cloud = part(
        spec.terraform_cloud.as_ref(),
        "spec.terraform_cloud: must be configured for the join method \"terraform_cloud\"",
    )?;
    let failed = || within("spec.terraform_cloud: failed validation");
    one_rule(!cloud.allow.is_empty(), "terraform_cloud").map_err(failed())?;
    for (index, rule) in cloud.allow.iter().enumerate() {
        let organization = [&rule.organization_id, &rule.organization_name];
        require(organization.iter().any(|it| !it.is_empty()), || {
            format!("allow[{index}]: one of ['organization_id', 'organization_name'] must be set")
        })
        .map_err(failed())?;
        let inner =
            [&rule.project_id, &rule.project_name, &rule.workspace_id, &rule.workspace_name];
        require(inner.iter().any(|it| !it.is_empty()), || {
            format!(
                "allow[{index}]: at least one of ['project_id', 'project_name', 'workspace_id', \
                 'workspace_name'] must be set"
            )
        })
        .map_err(failed())?;
    }
    Ok(())
}

pub(super) fn check_bitbucket(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let bitbucket = part(
        spec.bitbucket.as_ref(),
        "spec.bitbucket: must be configured for the join method \"bitbucket\"",
    )?;
    let failed = || within("spec.bitbucket: failed validation");
    one_rule(!bitbucket.allow.is_empty(), "bitbucket").map_err(failed())?;
    require(!bitbucket.audience.is_empty(), || {
        "audience: an OpenID Connect Audience value is required".to_owned()
    })
    .map_err(failed())?;
    require(!bitbucket.identity_provider_url.is_empty(), || {
        "identity_provider_url: an identity provider URL is required".to_owned()
    })
    .map_err(failed())?;
    let bad = bitbucket
        .allow
        .iter()
        .position(|it| it.workspace_uuid.is_empty() && it.repository_uuid.is_empty());
    match bad {
        Some(index) => Err(failed()(Status::invalid(format!(
            "allow[{index}]: at least one of ['workspace_uuid', 'repository_uuid'] must be set"
        )))),
        None => Ok(()),
    }
}

pub(super) fn check_oracle(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let oracle = part(
        spec.oracle.as_ref(),
        "spec.oracle: must be configured for the join method \"oracle\"",
    )?;
    let failed = || within("spec.oracle: failed validation");
    require(!oracle.allow.is_empty(), || {
        "the \"oracle\" join method requires at least one allow rule".to_owned()
    })
    .map_err(failed())?;
    match oracle.allow.iter().position(|it| it.tenancy.is_empty()) {
        Some(index) => {
            Err(failed()(Status::invalid(format!("allow[{index}]: tenancy must be set"))))
        }
        None => Ok(()),
    }
}

pub(super) fn check_azure_devops(spec: &ProvisionTokenSpecV2) -> Result<(), Status> {
    let devops = part(
        spec.azure_devops.as_ref(),
        "spec.azure_devops: must be configured for the join method \"azure_devops\"",
    )?;
    let failed = || within("spec.azure_devops: failed validation");
    require(!devops.allow.is_empty(), || {
        "the \"azure_devops\" join method requires at least one allow rule".to_owned()
    })
    .map_err(failed())?;
    require(!devops.organization_id.is_empty(), || "organization_id: must be set".to_owned())
        .map_err(failed())?;
    let bad = devops
        .allow
        .iter()
        .position(|it| it.sub.is_empty() && it.project_name.is_empty() && it.project_id.is_empty());
    match bad {
        Some(index) => Err(failed()(Status::invalid(format!(
            "allow[{index}]: at least one of ['sub', 'project_name', 'project_id'] must be set"
        )))),
        None => Ok(()),
    }
}

pub(super) fn check_bound_keypair(spec: &mut ProvisionTokenSpecV2) -> Result<(), Status> {
    let Some(keypair) = &mut spec.bound_keypair else {
        return invalid(
            "spec.bound_keypair: must be configured for the join method \"bound_keypair\"",
        );
    };
    let failed = || within("spec.bound_keypair: failed validation");
    let onboarding = part(keypair.onboarding.as_ref(), "spec.bound_keypair.onboarding is required")
        .map_err(failed())?;
    let some = [&onboarding.registration_secret, &onboarding.initial_public_key];
    require(some.iter().any(|it| !it.is_empty()), || {
        "at least one of [initial_join_secret, initial_public_key] is required in \
         spec.bound_keypair.onboarding"
            .to_owned()
    })
    .map_err(failed())?;
    let recovery = keypair.recovery.get_or_insert_default();
    recovery.limit = recovery.limit.max(1);
    Ok(())
}
