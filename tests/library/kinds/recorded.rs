//! Recorded calls, and the resources in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value as Wire};
use reconciler::kind::{KINDS, Kind};
use reconciler::wire::DESCRIPTORS;

/// One recorded call.
pub(crate) struct Line {
    pub(crate) case: String,
    pub(crate) step: u64,
    pub(crate) method: String,
    pub(crate) code: String,
    pub(crate) request: Option<Bytes>,
    pub(crate) answer: Option<Bytes>,
}

/// Files of recorded calls with one cluster.
pub(crate) const RECORDED: &[&str] =
    &["bot", "kube", "pages", "ping", "rbac", "role", "token", "trust", "user", "watch"];

/// Every line of some files of `tests/data/recorded`.
pub(crate) fn lines(names: &[&str]) -> Vec<Line> {
    let mut lines = Vec::new();
    for name in names {
        let path = format!("{}/tests/data/recorded/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        for line in std::fs::read_to_string(&path).expect(&path).lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_string();
            let wire = |key: &str| line[key].as_str().map(|text| STANDARD.decode(text).unwrap());
            lines.push(Line {
                case: text("case"),
                step: line["step"].as_u64().unwrap_or_default(),
                method: text("method"),
                code: text("code"),
                request: wire("request_wire").map(Bytes::from),
                answer: wire("answer_wire").map(Bytes::from),
            });
        }
    }
    assert!(!lines.is_empty(), "nothing was recorded");
    lines
}

/// A message that travelled.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) kind: &'static Kind,
    pub(crate) wire: Bytes,
    pub(crate) from: String,
}

/// Every resource of our kinds in every recorded request and answer, found by reflection.
pub(crate) fn resources() -> Vec<Found> {
    let mut found = Vec::new();
    for line in lines(RECORDED) {
        let from = format!("{} {} {}", line.case, line.step, line.method);
        for (name, wire) in
            [(request_type(&line.method), &line.request), (answer_type(&line.method), &line.answer)]
        {
            let (Some(name), Some(wire)) = (name, wire) else { continue };
            let descriptor = DESCRIPTORS.get_message_by_name(&name).expect("the type is known");
            let message = DynamicMessage::decode(descriptor, wire.clone()).expect("it decodes");
            collect(&message, &from, &mut found);
        }
    }
    found
}

fn collect(message: &DynamicMessage, from: &str, found: &mut Vec<Found>) {
    use prost_reflect::prost::Message as _;
    let name = message.descriptor().full_name().to_string();
    if let Some(kind) = KINDS.iter().find(|kind| kind.message == name) {
        found.push(Found { kind, wire: message.encode_to_vec().into(), from: from.into() });
        return;
    }
    for (_, value) in message.fields() {
        match value {
            Wire::Message(inner) => collect(inner, from, found),
            Wire::List(items) => {
                for item in items {
                    if let Wire::Message(inner) = item {
                        collect(inner, from, found);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Types of the recorded calls; `None` for an empty message and for calls that we don't have.
pub(crate) fn request_type(method: &str) -> Option<String> {
    let (service, name) = method.trim_start_matches('/').rsplit_once('/')?;
    let package = service.rsplit_once('.')?.0;
    match name {
        "CreateKubernetesCluster" | "UpdateKubernetesCluster" => {
            Some("types.KubernetesClusterV3".into())
        }
        "UpsertTrustedCluster" if package == "proto" => Some("types.TrustedClusterV2".into()),
        "GetToken"
        | "DeleteToken"
        | "GetKubernetesCluster"
        | "DeleteKubernetesCluster"
        | "GetTrustedCluster"
        | "DeleteTrustedCluster"
            if package == "proto" =>
        {
            Some("types.ResourceRequest".into())
        }
        "UpsertRoleV2" => Some("proto.UpsertRoleRequest".into()),
        "WatchEvents" => Some("proto.Watch".into()),
        _ => known(format!("{package}.{name}Request")),
    }
}

pub(crate) fn answer_type(method: &str) -> Option<String> {
    if method == "event" {
        return Some("proto.Event".into());
    }
    let (service, name) = method.trim_start_matches('/').rsplit_once('/')?;
    let package = service.rsplit_once('.')?.0;
    match name {
        "CreateRole" | "UpdateRole" | "UpsertRoleV2" | "GetRole" => Some("types.RoleV6".into()),
        "GetKubernetesCluster" => Some("types.KubernetesClusterV3".into()),
        "GetKubernetesClusters" => Some("types.KubernetesClusterV3List".into()),
        "GetTrustedClusters" => Some("types.TrustedClusterV2List".into()),
        "CreateTrustedCluster"
        | "UpdateTrustedCluster"
        | "UpsertTrustedCluster"
        | "GetTrustedCluster" => Some("types.TrustedClusterV2".into()),
        "GetRemoteCluster" | "UpdateRemoteCluster" => Some("types.RemoteClusterV3".into()),
        "GetToken" => Some("types.ProvisionTokenV2".into()),
        "GetTokens" => Some("types.ProvisionTokenV2List".into()),
        "GetBot" | "CreateBot" | "UpdateBot" | "UpsertBot" => {
            Some("teleport.machineid.v1.Bot".into())
        }
        "CreateResetPasswordToken" => Some("types.UserTokenV3".into()),
        _ => known(format!("{package}.{name}Response")),
    }
}

fn known(name: String) -> Option<String> {
    DESCRIPTORS.get_message_by_name(&name).map(|_| name)
}

/// The one resource in a recorded message.
pub(crate) fn resource_in(name: &str, wire: &Bytes) -> Found {
    let descriptor = DESCRIPTORS.get_message_by_name(name).expect(name);
    let message = DynamicMessage::decode(descriptor, wire.clone()).expect(name);
    let mut found = Vec::new();
    collect(&message, name, &mut found);
    assert_eq!(found.len(), 1, "{name}");
    found.pop().unwrap()
}
