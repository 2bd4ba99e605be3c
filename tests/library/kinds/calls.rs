//! Calls are the bytes that the official clients sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use reconciler::kind::call::{self, Watched};
use reconciler::kind::canonical::{encode, from_value};
use reconciler::kind::{self, KINDS, Kind};
use reconciler::model::{Cluster, Value};
use reconciler::wire::DESCRIPTORS;
use reconciler::wire::message::{proto, types};

use super::keyed::{listed, resource, watched};
use super::recorded::{RECORDED, lines, request_type};

#[test]
fn recorded_requests_by_name_are_ours() {
    let mut seen = BTreeMap::new();
    for line in lines(RECORDED) {
        let path = Some(line.method.as_str());
        let by_name = |kind: &&&Kind| {
            path == Some(kind.rpc.get.path) || path == kind.rpc.delete.as_ref().map(|it| it.path)
        };
        let Some(kind) = KINDS.iter().find(by_name) else { continue };
        let Some(recorded) = line.request else { continue };
        let message = DESCRIPTORS.get_message_by_name(&request_type(&line.method).unwrap());
        let message = DynamicMessage::decode(message.unwrap(), recorded.clone()).unwrap();
        let field = kind.rpc.get.field.unwrap();
        let name = message.get_field_by_name(field).unwrap().as_str().unwrap().to_owned();
        let ours = if line.method == kind.rpc.get.path {
            call::get(kind, &name)
        } else {
            call::delete(kind, &name).unwrap()
        };
        assert_eq!(ours.path, line.method);
        assert_eq!(&ours.body, &recorded, "{}", line.case);
        *seen.entry(kind.name.as_str()).or_insert(0) += 1;
    }
    let total: usize = seen.values().sum();
    assert!(total > 60 && seen.len() >= 6, "{seen:?}");
}

#[test]
fn recorded_lists_are_read() {
    let (mut roles, mut clusters, mut pages) = (0, 0, 0);
    for line in lines(&["pages", "kube"]) {
        let kind = match line.method.as_str() {
            "/proto.AuthService/ListRoles" => kind::find("role").unwrap(),
            "/proto.AuthService/GetKubernetesClusters" => kind::find("kube_cluster").unwrap(),
            _ => continue,
        };
        let Some(answer) = line.answer else { continue };
        let list = kind.rpc.lists().find(|list| list.path == line.method).unwrap();
        let page = listed(kind, list, &Cluster::Parent, answer).expect(&line.case);
        assert!(page.broken.is_empty(), "{:?}", page.broken);
        assert!(page.items.iter().all(|live| live.revision.is_some()));
        match kind.name.as_str() {
            "role" => roles += page.items.len(),
            _ => clusters += page.items.len(),
        }
        pages += usize::from(!page.next.is_empty());
    }
    assert!(roles > 10 && clusters > 0 && pages > 1, "{roles} {clusters} {pages}");
}

#[test]
fn a_list_asks_for_the_next_page() {
    let request = call::list(&kind::find("role").unwrap().rpc.list, "next");
    let decoded = proto::ListRolesRequest::decode(request.body).unwrap();
    assert_eq!((decoded.limit, decoded.start_key.as_str()), (kind::PAGE_SIZE, "next"));
    for kind in ["kube_cluster", "trusted_cluster", "token"] {
        let rpc = &kind::find(kind).unwrap().rpc;
        let [new, old] = rpc.lists().collect::<Vec<_>>()[..] else { panic!("{kind}") };
        assert!(new.page.is_some() && old.page.is_none(), "{kind}");
        // Field 1 is how many: 1,000.
        assert_eq!(&call::list(new, "").body[..], [8, 0xE8, 7], "{kind}");
        assert_eq!(call::list(old, "").body, Bytes::new(), "{kind}");
    }
}

#[test]
fn one_broken_item_does_not_hide_the_others() {
    let kind = kind::find("kube_cluster").unwrap();
    let good =
        from_value(kind, &Value::from_json(r#"{"metadata":{"name":"k"}}"#).unwrap()).unwrap();
    let mut answer = Vec::new();
    for item in [&good[..], b"\x0a\x7f", b"", &good[..]] {
        prost::encoding::bytes::encode(1, &item.to_vec(), &mut answer);
    }
    let list = &kind.rpc.list;
    let page = listed(kind, list, &Cluster::Parent, answer.into()).unwrap();
    assert_eq!((page.items.len(), page.broken.len()), (2, 2));
    assert!(listed(kind, list, &Cluster::Parent, Bytes::from_static(b"\x0a\x7f")).is_err());
}

#[test]
fn creates_and_updates_wrap_the_resource() {
    for kind in KINDS {
        let wanted = resource(kind, Cluster::Parent, "x", Value::map());
        let message = encode(kind, &wanted, None, "me").unwrap();
        let calls = [
            (kind.rpc.create, call::create(kind, message.clone())),
            (kind.rpc.update, call::update(kind, message.clone())),
        ];
        for (call, request) in calls {
            let (Some(call), Some(request)) = (call, request) else { continue };
            assert_eq!(request.path, call.path);
            let descriptor = DESCRIPTORS.get_message_by_name(call.request).unwrap();
            let whole = DynamicMessage::decode(descriptor, request.body).unwrap();
            let inside = match call.field {
                Some(field) => {
                    whole.get_field_by_name(field).unwrap().as_message().unwrap().clone()
                }
                None => whole,
            };
            let descriptor = DESCRIPTORS.get_message_by_name(kind.message).unwrap();
            let sent = DynamicMessage::decode(descriptor, message.clone()).unwrap();
            assert_eq!(inside, sent, "{}", kind.name);
        }
    }
    let found = kind::find("remote_cluster").unwrap();
    assert_eq!(call::create(found, Bytes::new()), None);
    assert_eq!(call::delete(found, "x"), None);
}

#[test]
fn the_revision_is_in_the_answer_where_there_is_one() {
    let mut told = Vec::new();
    for kind in KINDS {
        let value = Value::from_json(r#"{"metadata":{"name":"x","revision":"r1"}}"#).unwrap();
        let resource = from_value(kind, &value).unwrap();
        for call in [kind.rpc.create, kind.rpc.update].into_iter().flatten() {
            let holder = holder(kind, call.answer);
            let mut answer = Vec::new();
            match holder {
                Some(number) => prost::encoding::bytes::encode(number, &resource, &mut answer),
                None => answer.extend_from_slice(&resource),
            }
            let is_told = call.answer == kind.message || holder.is_some();
            let revision = call::revision(kind, &answer).map(|revision| revision.0);
            assert_eq!(revision, is_told.then(|| String::from("r1")), "{call:?}");
            if is_told {
                told.push(kind.name.as_str());
            }
        }
        assert_eq!(call::revision(kind, b""), None);
    }
    told.dedup();
    assert_eq!(
        told,
        ["role", "user", "bot", "trusted_cluster", "remote_cluster", "workload_cluster"]
    );
}

/// The number of an answer's field that holds the resource.
fn holder(kind: &Kind, answer: &str) -> Option<u32> {
    let descriptor = DESCRIPTORS.get_message_by_name(answer)?;
    let mut fields = descriptor.fields();
    let holder = fields
        .find(|field| field.kind().as_message().is_some_and(|it| it.full_name() == kind.message))?;
    Some(holder.number())
}

#[test]
fn a_watch_asks_for_what_can_be_watched() {
    let request = call::watch(KINDS);
    let watch = proto::Watch::decode(request.body).unwrap();
    let names: Vec<&str> = watch.kinds.iter().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(names, ["role", "user", "token", "kube_cluster", "remote_cluster"]);
    assert!(watch.allow_partial_success);
    assert_eq!(request.path, "/proto.AuthService/WatchEvents");
}

fn event(operation: proto::Operation, resource: Option<proto::event::Resource>) -> Bytes {
    proto::Event { r#type: operation.into(), resource }.encode_to_vec().into()
}

fn header(kind: &str, name: &str) -> types::ResourceHeader {
    types::ResourceHeader {
        kind: kind.into(),
        metadata: Some(types::Metadata { name: name.into(), ..types::Metadata::default() }),
        ..types::ResourceHeader::default()
    }
}

#[test]
fn events_are_read() {
    use proto::Operation::{Delete, Init, Put};
    use proto::event::Resource;
    let read = |bytes| watched(&Cluster::Parent, bytes);

    let watched =
        |kind: &str| types::WatchKind { kind: kind.into(), ..types::WatchKind::default() };
    let status = types::WatchStatusV1 {
        spec: Some(types::WatchStatusSpecV1 { kinds: vec![watched("role"), watched("node")] }),
        ..types::WatchStatusV1::default()
    };
    match read(event(Init, Some(Resource::WatchStatus(status)))) {
        Ok(Watched::Opened(kinds)) => assert_eq!(kinds, [kind::find("role").unwrap().name]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(read(event(Init, None)), Ok(Watched::Opened(kinds)) if kinds.is_empty()));

    let role = types::RoleV6 {
        metadata: Some(types::Metadata {
            name: "r".into(),
            revision: "1".into(),
            ..types::Metadata::default()
        }),
        ..types::RoleV6::default()
    };
    match read(event(Put, Some(Resource::Role(role)))) {
        Ok(Watched::Put(live)) => {
            assert_eq!(live.id.to_string(), "role/r");
            assert_eq!(live.revision.unwrap().0, "1");
        }
        other => panic!("{other:?}"),
    }
    match read(event(Delete, Some(Resource::ResourceHeader(header("kube_cluster", "k"))))) {
        Ok(Watched::Gone(id)) => assert_eq!(id.to_string(), "kube_cluster/k"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        read(event(Delete, Some(Resource::ResourceHeader(header("node", "k"))))),
        Ok(Watched::Other)
    ));
    assert!(matches!(
        read(event(Put, Some(Resource::KubernetesServer(types::KubernetesServerV3::default())))),
        Ok(Watched::Other)
    ));
    assert!(read(event(Put, Some(Resource::Role(types::RoleV6::default())))).is_err(), "no name");
    assert!(read(event(Put, None)).is_err());
    assert!(read(Bytes::from_static(b"\x08")).is_err());
}

#[test]
fn an_empty_list_with_something_unknown_in_it_is_no_list() {
    let kind = kind::find("role").unwrap();
    let list = &kind.rpc.list;
    let mut answer = Vec::new();
    prost::encoding::bytes::encode(15, &b"where are they?".to_vec(), &mut answer);
    assert!(listed(kind, list, &Cluster::Parent, answer.into()).is_err());
    let empty = listed(kind, list, &Cluster::Parent, Bytes::new()).unwrap();
    assert!(empty.items.is_empty() && empty.broken.is_empty());
}
