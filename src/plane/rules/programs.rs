//! What the official programs ask beside the kinds: Ping, alerts, challenges, preferences.

use prost::Message as _;

use super::cluster::{SERVER_VERSION, local_name};
use super::{Expiry, NAMESPACE, Rules, Tx, decode, go_zero, metadata, read};
use crate::plane::status::Status;
use crate::wire::message::{programs, proto, types};

const KIND: &str = "cluster_auth_preference";
const NAME: &str = "cluster-auth-preference";

/// Nanoseconds: a session lasts 12 hours.
const SESSION_TTL: i64 = 12 * 60 * 60 * 1_000_000_000;

/// Teleport's number for one-time passwords as second factor.
const OTP: i32 = 1;

/// Teleport's answer that no second factor is asked for.
const MFA_NOT_REQUIRED: i32 = 2;

/// What the open edition has.
const ENTITLED: &[&str] = &["App", "DB", "Desktop", "JoinActiveSessions", "K8s"];

/// What it knows and lacks.
const NOT_ENTITLED: &[&str] = &[
    "AccessGraphDemoMode",
    "AccessLists",
    "AccessMonitoring",
    "AccessRequests",
    "CloudAuditLogRetention",
    "DeviceTrust",
    "ExternalAuditStorage",
    "FeatureHiding",
    "HSM",
    "Identity",
    "LicenseAutoUpdate",
    "MobileDeviceManagement",
    "OIDC",
    "OktaSCIM",
    "OktaUserSync",
    "Policy",
    "SAML",
    "SessionLocks",
    "UnrestrictedManagedUpdates",
    "UpsellAlert",
    "UsageReporting",
];

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/Ping", ping),
        read("/proto.AuthService/GetClusterAlerts", alerts),
        read("/proto.AuthService/CreateAuthenticateChallenge", challenge),
        read("/proto.AuthService/GetAuthPreference", preference),
        read("/teleport.clusterconfig.v1.ClusterConfigService/GetAuthPreference", preference),
        read("/proto.AuthService/GetClusterMaintenanceConfig", maintenance),
    ],
    events: None,
    expire: None,
};

fn ping(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<proto::PingRequest>(body)?;
    let answer = programs::PingResponse {
        cluster_name: local_name(tx),
        server_version: SERVER_VERSION.to_owned(),
        server_features: Some(features()),
        proxy_public_addr: tx.settings.proxy_address.clone(),
        signature_algorithm_suite: types::SignatureAlgorithmSuite::BalancedV1.into(),
        license_expiry: Some(go_zero()),
        ..Default::default()
    };
    Ok(answer.encode_to_vec())
}

/// What the open edition says that it has: for older clients field by field, for newer by name.
fn features() -> programs::Features {
    let entitled = ENTITLED.iter().map(|name| (*name, true));
    let not_entitled = NOT_ENTITLED.iter().map(|name| (*name, false));
    let entitlements = entitled
        .chain(not_entitled)
        .map(|(name, enabled)| (name.to_owned(), programs::Entitlement { enabled, limit: 0 }));
    let none = || Some(programs::Feature::default());
    programs::Features {
        kubernetes: true,
        app: true,
        db: true,
        desktop: true,
        join_active_sessions: true,
        device_trust: none(),
        access_requests: none(),
        access_list: none(),
        access_monitoring: none(),
        policy: none(),
        support_type: proto::SupportType::Free.into(),
        entitlements: entitlements.collect(),
        ..Default::default()
    }
}

fn alerts(_tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<programs::GetClusterAlertsRequest>(body)?;
    Ok(programs::GetClusterAlertsResponse::default().encode_to_vec())
}

fn challenge(_tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<programs::CreateAuthenticateChallengeRequest>(body)?;
    Ok(programs::MfaAuthenticateChallenge { mfa_required: MFA_NOT_REQUIRED }.encode_to_vec())
}

/// Notes the preferences of a new cluster, so that they have a revision.
pub(super) fn found(tx: &mut Tx<'_>) {
    let value = |value| Some(types::BoolValue { value });
    let saml = types::IdPsamlOptions { enabled: value(true) };
    let preference = programs::AuthPreferenceV2 {
        kind: KIND.to_owned(),
        version: "v2".to_owned(),
        metadata: Some(types::Metadata {
            name: NAME.to_owned(),
            namespace: NAMESPACE.to_owned(),
            labels: [(metadata::ORIGIN.to_owned(), "config-file".to_owned())].into(),
            ..Default::default()
        }),
        spec: Some(programs::AuthPreferenceSpecV2 {
            r#type: "local".to_owned(),
            disconnect_expired_cert: value(false),
            allow_local_auth: value(true),
            locking_mode: "best_effort".to_owned(),
            allow_passwordless: value(false),
            idp: Some(types::IdPOptions { saml: Some(saml) }),
            allow_headless: value(false),
            default_session_ttl: SESSION_TTL,
            okta: Some(programs::OktaOptions::default()),
            signature_algorithm_suite: types::SignatureAlgorithmSuite::BalancedV1.into(),
            second_factors: vec![OTP],
            ..Default::default()
        }),
        ..Default::default()
    };
    tx.put(KIND, NAME, &preference, Expiry::NEVER);
}

fn preference(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    tx.allow(KIND, "read")?;
    if tx.stored(KIND, NAME).is_none() {
        // The store is older than this rule.
        found(tx);
    }
    let item = tx.stored(KIND, NAME);
    let item = item.ok_or_else(|| Status::not_found("auth preference is not found"))?;
    let mut preference: programs::AuthPreferenceV2 = decode(&item.value)?;
    preference.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(preference.encode_to_vec())
}

fn maintenance(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    tx.allow("cluster_maintenance_config", "read")?;
    Err(Status::not_found("cluster maintenance config not found"))
}
