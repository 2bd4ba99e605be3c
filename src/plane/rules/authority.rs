//! The cluster's certificate authorities: their public halves, which the settings bring.

use prost::Message as _;

use super::access::READ_NO_SECRETS;
use super::metadata::quoted;
use super::{NAMESPACE, Rules, Tx, cluster, decode, read};
use crate::plane::settings::Authority;
use crate::plane::status::Status;
use crate::wire::message::{programs, proto, types};

const KIND: &str = "cert_authority";

/// The types of authorities that 18.0.0 has.
const TYPES: &[&str] = &[
    "host",
    "user",
    "db",
    "db_client",
    "openssh",
    "jwt",
    "saml_idp",
    "oidc_idp",
    "spiffe",
    "okta",
    "awsra",
    "bound_keypair",
];

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/GetClusterCACert", host_certificate),
        read("/teleport.trust.v1.TrustService/GetCertAuthority", get),
        read("/teleport.trust.v1.TrustService/GetCertAuthorities", list),
    ],
    events: None,
    expire: None,
};

/// Open to everybody: what a client needs to trust the cluster.
fn host_certificate(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    let host = tx.settings.authorities.get("host").map(|host| host.tls.concat());
    let tlsca = host.unwrap_or_default().into();
    Ok(proto::GetClusterCaCertResponse { tlsca }.encode_to_vec())
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: programs::GetCertAuthorityRequest = decode(body)?;
    check(tx, &request.r#type, request.include_key, &[READ_NO_SECRETS])?;
    let local = cluster::local_name(tx);
    let found = tx.settings.authorities.get(&request.r#type);
    let found = found.filter(|_| request.domain == local).ok_or_else(|| {
        Status::not_found(format!(
            "\"cert_authority\" {} does not exist",
            quoted(&format!("{}/{}", request.r#type, request.domain))
        ))
    })?;
    Ok(shown(&request.r#type, local, found).encode_to_vec())
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: programs::GetCertAuthoritiesRequest = decode(body)?;
    check(tx, &request.r#type, request.include_key, &[READ_NO_SECRETS, "list"])?;
    let found = tx.settings.authorities.get(&request.r#type);
    let found = found.map(|it| shown(&request.r#type, cluster::local_name(tx), it));
    let answer =
        programs::GetCertAuthoritiesResponse { cert_authorities_v2: found.into_iter().collect() };
    Ok(answer.encode_to_vec())
}

fn check(tx: &Tx<'_>, kind: &str, private: bool, verbs: &[&str]) -> Result<(), Status> {
    if !TYPES.contains(&kind) {
        return Err(Status::invalid(format!("'{kind}' authority type is not supported")));
    }
    tx.allow_all(KIND, verbs)?;
    if private {
        tx.allow(KIND, "read")?;
        return Err(Status::denied("the embedded plane hands out no private keys"));
    }
    Ok(())
}

fn shown(kind: &str, cluster_name: String, authority: &Authority) -> programs::CertAuthorityV2 {
    let tls = authority.tls.iter().map(|it| programs::TlsKeyPair { cert: it.clone().into() });
    let ssh = authority.ssh.iter().map(|it| programs::SshKeyPair { public_key: it.clone().into() });
    let jwt = authority.jwt.iter().map(|it| programs::JwtKeyPair { public_key: it.clone().into() });
    programs::CertAuthorityV2 {
        kind: KIND.to_owned(),
        sub_kind: kind.to_owned(),
        version: "v2".to_owned(),
        metadata: Some(types::Metadata {
            name: cluster_name.clone(),
            namespace: NAMESPACE.to_owned(),
            ..Default::default()
        }),
        spec: Some(programs::CertAuthoritySpecV2 {
            r#type: kind.to_owned(),
            cluster_name,
            active_keys: Some(programs::CaKeySet {
                ssh: ssh.collect(),
                tls: tls.collect(),
                jwt: jwt.collect(),
            }),
            additional_trusted_keys: Some(programs::CaKeySet::default()),
            ..Default::default()
        }),
    }
}
