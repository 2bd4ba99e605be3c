//! What a running server answered is what the plane answers, call by call.
//!
//! Recorded revisions stand for ours: the n-th in an answer of theirs is the n-th in ours, and
//! stays it for the rest of the case. With these put in, the answers must be equal messages.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use reconciler::plane::{Caller, Item, Key, Settings, Trust};
use reconciler::wire::DESCRIPTORS;
use reconciler::wire::message::{proto, types};

use crate::support::{AUTH, World, code_named};

const FILES: &[(&str, &str)] = &[
    ("role", include_str!("../data/recorded/role.jsonl")),
    ("kube", include_str!("../data/recorded/kube.jsonl")),
    ("trust", include_str!("../data/recorded/trust.jsonl")),
    ("pages", include_str!("../data/recorded/pages.jsonl")),
];

/// Calls whose text is the recorded server's database speaking. The code must be equal all the same.
const OTHER_TEXTS: &[(&str, u64, &str)] =
    &[("role/writes", 2, "SQLite's own text for a key that exists")];

/// Services that the plane does not have yet.
const PENDING: &[(&str, &str)] = &[
    ("/teleport.users.v1.UsersService/", "users are not a kind yet"),
    ("/teleport.presence.v1.PresenceService/", "remote clusters are not a kind yet"),
];

/// The message that a method answers with.
fn answer_type(path: &str) -> &'static str {
    match path.rsplit('/').next().unwrap() {
        "CreateRole" | "UpdateRole" | "UpsertRoleV2" | "GetRole" => "types.RoleV6",
        "ListRoles" => "proto.ListRolesResponse",
        "GetKubernetesCluster" => "types.KubernetesClusterV3",
        "GetKubernetesClusters" => "types.KubernetesClusterV3List",
        "ListResources" => "proto.ListResourcesResponse",
        "GetTrustedCluster" => "types.TrustedClusterV2",
        "GetTrustedClusters" => "types.TrustedClusterV2List",
        "CreateKubernetesCluster"
        | "UpdateKubernetesCluster"
        | "DeleteKubernetesCluster"
        | "DeleteRole"
        | "DeleteTrustedCluster" => "google.protobuf.Empty",
        other => panic!("what does {other} answer with?"),
    }
}

#[derive(serde::Deserialize)]
struct Step {
    case: String,
    #[serde(rename = "step")]
    number: u64,
    method: String,
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    answer: serde_json::Value,
    #[serde(default)]
    request_wire: String,
    #[serde(default)]
    answer_wire: String,
}

#[test]
fn recorded_calls_are_answered_alike() {
    let (mut played, mut pending) = (0, 0);
    for (file, text) in FILES {
        let mut steps: Vec<Step> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(steps.len() > 10, "{file} is nearly empty");
        while let Some(first) = steps.first() {
            let case = first.case.clone();
            let end = steps.iter().position(|step| step.case != case).unwrap_or(steps.len());
            let rest = steps.split_off(end);
            let (did, did_not) = play(&case, &steps);
            played += did;
            pending += did_not;
            steps = rest;
        }
    }
    println!("{played} recorded calls played, {pending} pending");
    assert_eq!((played, pending), (216, 9), "adjust when kinds are added");
}

fn play(case: &str, steps: &[Step]) -> (usize, usize) {
    let mut world = set_up(case, steps);
    let mut ours = BTreeMap::new();
    let (mut played, mut pending) = (0, 0);
    for step in steps {
        let at = format!("{case} step {}, {}", step.number, step.method);
        if PENDING.iter().any(|(service, _why)| step.method.starts_with(service)) {
            pending += 1;
            continue;
        }
        world.wait(Duration::from_millis(1));
        let request = with_ours(STANDARD.decode(&step.request_wire).unwrap(), &ours);
        let result = world.raw(&step.method, &request);
        played += 1;
        match result {
            Ok(answer) => {
                assert_eq!(step.code, "OK", "{at}: answered, but was refused: {}", step.message);
                compare(&at, step, &answer, &mut ours);
            }
            Err(status) => {
                assert_eq!(status.code, code_named(&step.code), "{at}: {status:?}");
                let other = OTHER_TEXTS.iter().any(|it| (it.0, it.1) == (case, step.number));
                if !other {
                    assert_eq!(without_ports(&status.message), step.message, "{at}");
                }
            }
        }
    }
    (played, pending)
}

fn compare(at: &str, step: &Step, answer: &[u8], ours: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let theirs = STANDARD.decode(&step.answer_wire).unwrap();
    let (old, new) = (revisions(&theirs), revisions(answer));
    assert_eq!(old.len(), new.len(), "{at}: revisions in the answer");
    for (old, new) in old.into_iter().zip(new) {
        let fresh = !ours.values().any(|it| *it == new);
        let known = ours.entry(old).or_insert_with(|| {
            assert!(fresh, "{at}: a revision is used again");
            new.clone()
        });
        assert_eq!(*known, new, "{at}: another revision than before");
    }
    if answer_type(&step.method) == "google.protobuf.Empty" {
        assert_eq!(answer, theirs, "{at}");
        return;
    }
    let kind = DESCRIPTORS.get_message_by_name(answer_type(&step.method)).unwrap();
    let read = |bytes: &[u8]| DynamicMessage::decode(kind.clone(), bytes).unwrap();
    let (theirs, answer) = (read(&with_ours(theirs, ours)), read(answer));
    assert_eq!(answer, theirs, "{at}");
}

/// The state that a case was recorded in.
fn set_up(case: &str, steps: &[Step]) -> World {
    let settings = Settings {
        cluster_name: "root.test".to_owned(),
        trust: Trust::Unreachable,
        ..Default::default()
    };
    let mut world = World::new(settings);
    world.create_role("everything").unwrap();
    match case {
        "role/in-use" | "role/preset" => {
            world.create_role("r-used").unwrap();
            world = with_user(&world, &["r-used", "access"]);
        }
        "pages/roles" => {
            for number in 0..25 {
                world.create_role(&format!("page-{number:02}")).unwrap();
            }
        }
        "kube/list-order" => {
            let listed = steps[0].answer["KubernetesClusters"].as_array().unwrap();
            for cluster in listed.iter().rev() {
                world
                    .kube("CreateKubernetesCluster", cluster["metadata"]["name"].as_str().unwrap())
                    .unwrap();
            }
        }
        _ => {}
    }
    world
}

/// The same cluster with a user in it, who has these roles.
fn with_user(world: &World, roles: &[&str]) -> World {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let user = types::UserV2 {
        spec: Some(types::UserSpecV2 { roles, ..Default::default() }),
        ..Default::default()
    };
    let item = Item { value: user.encode_to_vec().into(), revision: "1".to_owned(), expires: None };
    let mut stored = world.stored();
    stored.insert(Key::new("user", "somebody"), item);
    World::over(world.core.settings().clone(), stored.into_iter().collect())
}

/// What looks like a UUID, in order.
fn revisions(bytes: &[u8]) -> Vec<Vec<u8>> {
    let is_uuid = |window: &&[u8]| {
        window.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    bytes.windows(36).filter(is_uuid).map(<[u8]>::to_vec).collect()
}

fn with_ours(mut bytes: Vec<u8>, ours: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    for (old, new) in ours {
        while let Some(at) = bytes.windows(old.len()).position(|window| window == old) {
            bytes[at..at + new.len()].copy_from_slice(new);
        }
    }
    bytes
}

fn without_ports(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push_str("127.0.0.1:<port>");
        out.push_str(part.trim_start_matches(|it: char| it.is_ascii_digit()));
    }
    out
}

#[test]
fn recorded_watches_begin_alike() {
    let text = include_str!("../data/recorded/watch.jsonl");
    let mut opened = 0;
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["method"] == "event" {
            continue;
        }
        let kinds = line["request"]["kinds"].as_array().cloned().unwrap_or_default();
        let names: Vec<_> =
            kinds.iter().map(|kind| kind["kind"].as_str().unwrap().to_owned()).collect();
        let kinds = names
            .iter()
            .map(|kind| types::WatchKind { kind: kind.clone(), ..Default::default() })
            .collect();
        let request = proto::Watch { kinds, ..Default::default() };
        let mut world = World::new(Settings::default());
        let result = world.core.subscribe(world.now, &Caller::admin(), &request.encode_to_vec());
        opened += 1;
        match result {
            Ok(id) => {
                assert_eq!(line["code"], "OK", "{line}");
                let poll = world.core.poll_watch(world.now, id);
                assert_eq!((poll.events.len(), poll.ended), (1, None));
                let event = proto::Event::decode(poll.events[0].as_slice()).unwrap();
                assert_eq!(event.r#type(), proto::Operation::Init);
                let Some(proto::event::Resource::WatchStatus(status)) = event.resource else {
                    panic!("{line}: the first event is not a status");
                };
                let theirs = &line["answer"]["WatchStatus"];
                let metadata = status.metadata.unwrap();
                assert_eq!(theirs["Kind"], status.kind);
                assert_eq!(theirs["Version"], status.version);
                assert_eq!(theirs["Metadata"]["Name"], metadata.name);
                assert_eq!(theirs["Metadata"]["Namespace"], metadata.namespace);
                let confirmed: Vec<_> =
                    status.spec.unwrap().kinds.into_iter().map(|kind| kind.kind).collect();
                assert_eq!(confirmed, names);
            }
            Err(status) => {
                assert_eq!(status.code, code_named(line["code"].as_str().unwrap()), "{line}");
                assert_eq!(line["message"], status.message, "{line}");
            }
        }
    }
    assert_eq!(opened, 9);
}

#[test]
fn recorded_role_events_are_told_alike() {
    // The recorded watch is on tokens too; these are not a kind yet.
    let text = include_str!("../data/recorded/watch.jsonl");
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["method"] == "event")
        .map(|line| line["answer"].clone())
        .filter(|event| event["Role"].is_object() || event["ResourceHeader"]["Kind"] == "role")
        .collect();
    assert_eq!(events.len(), 2);
    let mut world = World::new(Settings::default());
    let kind = types::WatchKind { kind: "role".to_owned(), ..Default::default() };
    let request = proto::Watch { kinds: vec![kind], ..Default::default() };
    let id = world.core.subscribe(world.now, &Caller::admin(), &request.encode_to_vec()).unwrap();
    let created = world.create_role("w-role").unwrap();
    let delete = proto::DeleteRoleRequest { name: "w-role".to_owned() };
    let _: () = world.call(&format!("{AUTH}DeleteRole"), &delete).unwrap();
    let poll = world.core.poll_watch(world.now, id);
    let got: Vec<_> =
        poll.events.iter().map(|bytes| proto::Event::decode(bytes.as_slice()).unwrap()).collect();
    assert_eq!(got.len(), 3, "init, put, delete");
    assert_eq!(got[1].r#type(), proto::Operation::Put);
    assert_eq!(got[1].resource, Some(proto::event::Resource::Role(created.clone())));
    assert_eq!(events[0]["Type"], "PUT");
    let theirs = &events[0]["Role"];
    let options = created.spec.unwrap().options.unwrap();
    assert_eq!(theirs["Version"], created.version);
    assert_eq!(theirs["Spec"]["Options"]["BPF"], serde_json::json!(options.bpf));
    assert_eq!(theirs["Spec"]["Options"]["MaxSessionTTL"], options.max_session_ttl.to_string());
    assert_eq!(events[1]["Type"], "DELETE");
    assert_eq!(got[2].r#type(), proto::Operation::Delete);
    let Some(proto::event::Resource::ResourceHeader(header)) = &got[2].resource else {
        panic!("a deletion is told by a header");
    };
    let theirs = &events[1]["ResourceHeader"];
    let metadata = header.metadata.clone().unwrap();
    assert_eq!(theirs["Kind"], header.kind);
    assert_eq!(theirs["Version"], header.version);
    assert_eq!(theirs["Metadata"]["Name"], metadata.name);
    assert_eq!(theirs["Metadata"]["Namespace"], metadata.namespace);
    assert_eq!(metadata.revision, "");
}

#[test]
fn unknown_methods_are_unimplemented() {
    let mut world = World::new(Settings::default());
    let texts = [
        (
            "/proto.AuthService/NoSuchMethod",
            "unknown method NoSuchMethod for service proto.AuthService",
        ),
        ("/no.such.Service/Method", "unknown service no.such.Service"),
    ];
    for (path, text) in texts {
        let status = world.raw(path, b"").unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (12, text));
    }
}
