//! Calls are the bytes that the official clients sent.

use bytes::Bytes;
use prost::Message as _;
use reconciler::kind::call::{self, Watched};
use reconciler::kind::canonical::{encode, from_value, resource};
use reconciler::kind::{self, KINDS};
use reconciler::model::{Cluster, Value};
use reconciler::wire::message::{proto, types};

use super::recorded::lines;

#[test]
fn recorded_requests_by_name_are_ours() {
    let mut seen = 0;
    for line in lines(&["role", "kube", "trust"]) {
        let (kind, name) = match line.method.as_str() {
            "/proto.AuthService/GetRole" | "/proto.AuthService/DeleteRole" => {
                ("role", &line.request)
            }
            "/proto.AuthService/GetKubernetesCluster"
            | "/proto.AuthService/DeleteKubernetesCluster" => ("kube_cluster", &line.request),
            "/proto.AuthService/GetTrustedCluster" | "/proto.AuthService/DeleteTrustedCluster" => {
                ("trusted_cluster", &line.request)
            }
            _ => continue,
        };
        let Some(request) = name else { continue };
        let kind = kind::find(kind).unwrap();
        let name = types::ResourceRequest::decode(request.clone()).unwrap().name;
        let ours = if line.method.contains("/Get") {
            call::get(kind, &name)
        } else {
            call::delete(kind, &name)
        };
        assert_eq!(ours.path, line.method);
        assert_eq!(&ours.body, request, "{}", line.case);
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
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
        assert_eq!(kind.rpc.list.path, line.method);
        let page = call::listed(kind, &Cluster::Parent, answer).expect(&line.case);
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
    let request = call::list(kind::find("role").unwrap(), "next");
    let decoded = proto::ListRolesRequest::decode(request.body).unwrap();
    assert_eq!((decoded.limit, decoded.start_key.as_str()), (kind::PAGE_SIZE, "next"));
    assert_eq!(call::list(kind::find("kube_cluster").unwrap(), "").body, Bytes::new());
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
    let page = call::listed(kind, &Cluster::Parent, answer.into()).unwrap();
    assert_eq!((page.items.len(), page.broken.len()), (2, 2));
    assert!(call::listed(kind, &Cluster::Parent, Bytes::from_static(b"\x0a\x7f")).is_err());
}

#[test]
fn creates_and_updates_wrap_the_resource() {
    for kind in KINDS {
        let wanted = resource(kind, Cluster::Parent, "x", Value::map());
        let message = encode(kind, &wanted, None, "me").unwrap();
        for request in
            [call::create(kind, message.clone()), call::update(kind, message.clone()).unwrap()]
        {
            // A wrapper has the resource in field 1: a key byte and a length before it.
            let wrapped = request.body != message;
            assert!(!wrapped || request.body[0] == 0x0a, "{}", kind.name);
            let start = request.body.len() - message.len();
            assert!(start <= 3, "{}", kind.name);
            let inside = request.body.slice(start..);
            assert_eq!(inside, message, "{}", kind.name);
        }
    }
}

#[test]
fn the_revision_is_in_the_answer_where_there_is_one() {
    for kind in KINDS {
        let value = Value::from_json(r#"{"metadata":{"name":"x","revision":"r1"}}"#).unwrap();
        let answer = from_value(kind, &value).unwrap();
        let revision = call::revision(kind, &answer).map(|revision| revision.0);
        let expected = (kind.rpc.create.answer == kind.message).then(|| String::from("r1"));
        assert_eq!(revision, expected, "{}", kind.name);
        assert_eq!(call::revision(kind, b""), None);
    }
}

#[test]
fn a_watch_asks_for_what_can_be_watched() {
    let request = call::watch(KINDS);
    let watch = proto::Watch::decode(request.body).unwrap();
    let names: Vec<&str> = watch.kinds.iter().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(names, ["role", "kube_cluster"]);
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
    let read = |bytes| call::watched(&Cluster::Parent, bytes);

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
        read(event(Put, Some(Resource::User(types::UserV2::default())))),
        Ok(Watched::Other)
    ));
    assert!(read(event(Put, Some(Resource::Role(types::RoleV6::default())))).is_err(), "no name");
    assert!(read(event(Put, None)).is_err());
    assert!(read(Bytes::from_static(b"\x08")).is_err());
}
