//! What each join method demands, 18.0.0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kind::check::{at, error, filled, items};
use crate::kind::codes;
use crate::model::{Findings, Node};

/// One join method.
pub(super) struct Method {
    /// As in `spec.join_method`.
    pub(super) name: &'static str,
    /// The field below `spec` with its settings; empty: `spec` itself.
    pub(super) block: &'static str,
    /// Fields of the block that must be set.
    pub(super) required: &'static [&'static str],
    /// Fields of the block that are hosts.
    pub(super) hosts: &'static [&'static str],
    /// Whether the block has `allow` rules, of which there must be one.
    pub(super) has_rules: bool,
    /// Of each group, a rule sets at least one field.
    pub(super) one_of: &'static [&'static [&'static str]],
    /// Fields that a rule must not set.
    pub(super) refused: &'static [&'static str],
    /// What is like nothing else.
    pub(super) more: fn(&Node, &mut Findings<'_>),
}

/// A method with rules in a block of its own name.
const fn ruled(name: &'static str, one_of: &'static [&'static [&'static str]]) -> Method {
    Method {
        name,
        block: name,
        required: &[],
        hosts: &[],
        has_rules: true,
        one_of,
        refused: &[],
        more: |_, _| {},
    }
}

/// All but `token`, the one without any proof.
pub(super) static METHODS: &[Method] = &[
    Method { block: "", refused: &["aws_arn"], ..ruled("ec2", &[&["aws_account", "aws_role"]]) },
    Method {
        block: "",
        refused: &["aws_role", "aws_regions"],
        ..ruled("iam", &[&["aws_account", "aws_arn", "aws_organization_id"]])
    },
    Method {
        hosts: &["enterprise_server_host"],
        more: github,
        ..ruled("github", &[&["repository", "repository_owner", "sub"]])
    },
    Method {
        required: &["organization_id"],
        ..ruled("circleci", &[&["project_id", "context_id"]])
    },
    Method { more: kubernetes, ..ruled("kubernetes", &[&["service_account"]]) },
    ruled("azure", &[&["subscription"]]),
    Method {
        hosts: &["domain"],
        ..ruled("gitlab", &[&["sub", "namespace_path", "project_path", "ci_config_ref_uri"]])
    },
    ruled("gcp", &[&["project_ids"]]),
    Method {
        required: &["hostname"],
        hosts: &["hostname"],
        ..ruled("spacelift", &[&["space_id", "caller_id"]])
    },
    Method { more: tpm, ..ruled("tpm", &[&["ek_public_hash", "ek_certificate_serial"]]) },
    ruled(
        "terraform_cloud",
        &[
            &["organization_id", "organization_name"],
            &["project_id", "project_name", "workspace_id", "workspace_name"],
        ],
    ),
    Method {
        required: &["audience", "identity_provider_url"],
        ..ruled("bitbucket", &[&["workspace_uuid", "repository_uuid"]])
    },
    ruled("oracle", &[&["tenancy"]]),
    Method {
        required: &["organization_id"],
        ..ruled("azure_devops", &[&["sub", "project_name", "project_id"]])
    },
    Method { has_rules: false, more: bound_keypair, ..ruled("bound_keypair", &[]) },
];

fn github(block: &Node, findings: &mut Findings<'_>) {
    if let Some(node) = filled(block, &["enterprise_slug"])
        && filled(block, &["enterprise_server_host"]).is_some()
    {
        let message = "only one of `enterprise_server_host` and `enterprise_slug` can be set";
        error(findings, codes::TOKEN_FIELD, node, message, "remove one of them");
    }
}

fn kubernetes(block: &Node, findings: &mut Findings<'_>) {
    for rule in items(at(block, &["allow"])) {
        if let Some(account) = filled(rule, &["service_account"])
            && account.text().is_some_and(|text| text.split(':').count() != 2)
        {
            let message = "a service account is written `namespace:name`";
            error(findings, codes::TOKEN_RULE, account, message, "for example `default:agent`");
        }
    }
    let kind = filled(block, &["type"]);
    let keys = at(block, &["static_jwks"]);
    match (kind.and_then(Node::text).unwrap_or("in_cluster"), keys) {
        ("in_cluster", Some(node)) => {
            let message = "`static_jwks` belongs to the type `static_jwks`";
            error(findings, codes::TOKEN_KEYS, node, message, "remove it, or set the type");
        }
        ("static_jwks", _) if filled(block, &["static_jwks", "jwks"]).is_none() => {
            let message = "the type `static_jwks` needs `static_jwks.jwks`";
            let hint = "the output of `kubectl get --raw /openid/v1/jwks`";
            error(findings, codes::TOKEN_KEYS, keys.unwrap_or(block), message, hint);
        }
        ("in_cluster" | "static_jwks" | "oidc", _) => {}
        (word, _) => {
            let message = format!("`{word}` is not a valid type");
            let hint = "use `in_cluster`, `static_jwks` or, with newer versions, `oidc`";
            error(findings, codes::TOKEN_KEYS, kind.unwrap_or(block), message, hint);
        }
    }
}

fn bound_keypair(block: &Node, findings: &mut Findings<'_>) {
    let is_set = |field| filled(block, &["onboarding", field]).is_some();
    if !is_set("initial_public_key") && !is_set("registration_secret") {
        let node = at(block, &["onboarding"]).unwrap_or(block);
        let message = "the first join needs a key or a secret";
        let hint = "set `onboarding.initial_public_key`";
        error(findings, codes::TOKEN_FIELD, node, message, hint);
    }
}

fn tpm(block: &Node, findings: &mut Findings<'_>) {
    for authority in items(at(block, &["ekcert_allowed_cas"])) {
        if let Err(why) = certificate(authority.text().unwrap_or_default()) {
            let message = format!("the authority of endorsement keys cannot be read: {why}");
            let hint = "paste the certificate, from `-----BEGIN CERTIFICATE-----` to its `END`";
            error(findings, codes::TOKEN_FIELD, authority, message, hint);
        }
    }
}

/// First byte of a certificate in DER: a sequence.
const SEQUENCE: u8 = 0x30;

/// Looks for the first PEM block, which must be a certificate. What is inside of one is the
/// server's to read: nothing is refused here that it could take.
fn certificate(text: &str) -> Result<(), &'static str> {
    let none = "it is not a PEM block";
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(none)?;
    let (label, rest) = rest.split_once("-----").ok_or(none)?;
    let (body, _) = rest.split_once("-----END ").ok_or("its `END` line is missing")?;
    if label != "CERTIFICATE" {
        // A broken block before the good one is skipped by the server.
        return if rest.contains("-----BEGIN CERTIFICATE-----") {
            Ok(())
        } else {
            Err("it is PEM, but not a certificate")
        };
    }
    let packed: String = body.split_ascii_whitespace().collect();
    let headers = body.contains(':');
    match STANDARD.decode(packed) {
        Ok(der) if der.first() == Some(&SEQUENCE) => Ok(()),
        Ok(_) => Err("there is no certificate in it"),
        Err(_) if headers => Ok(()),
        Err(_) => Err("the text between its lines is not base64"),
    }
}
