//! The list of what Kubernetes Services serve, over the wire. What is not known whole is not known.

use bytes::Bytes;
use prost::Message as _;
use reconciler::kind::kube_server::Servers;
use reconciler::port::servers::read;
use reconciler::wire::message::{proto, types};
use tonic::Status;

use super::server::{Reply, Scripted};

/// A page with one server; an empty key at the end.
fn page(name: &str, next: &str) -> Reply {
    use proto::paginated_resource::Resource;

    let server = types::KubernetesServerV3 {
        metadata: Some(types::Metadata { name: name.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let page = proto::ListResourcesResponse {
        resources: vec![proto::PaginatedResource {
            resource: Some(Resource::KubernetesServer(server)),
            ..Default::default()
        }],
        next_key: next.to_owned(),
        ..Default::default()
    };
    Reply::Message(page.encode_to_vec().into())
}

/// Where the request wants to go on.
fn start(request: &Bytes) -> String {
    proto::ListResourcesRequest::decode(request.clone()).unwrap().start_key
}

/// The names, or why nothing is known; and after how many calls.
async fn seen(server: Scripted) -> (Result<Vec<String>, String>, usize) {
    let servers = match read(&server.connect()).await {
        Servers::Known(servers) => Ok(servers.into_iter().map(|it| it.name).collect()),
        Servers::Unknown(why) => Err(why),
    };
    (servers, server.calls())
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let server = Scripted::new(|_, _, request| match start(request).as_str() {
        "" => page("a", "b"),
        "b" => page("b", ""),
        other => panic!("no such page: {other}"),
    });
    assert_eq!(seen(server).await, (Ok(vec!["a".to_owned(), "b".to_owned()]), 2));
}

#[tokio::test]
async fn half_a_list_is_none() {
    let around = Scripted::new(|_, _, _| page("a", "a"));
    let then = |reply: Reply| {
        Scripted::new(move |_, _, request| match start(request).as_str() {
            "" => page("a", "b"),
            _next => reply.clone(),
        })
    };
    let refused = then(Reply::Fail(Status::permission_denied("access denied")));
    let broken = then(Reply::Message(Bytes::from_static(b"\xff")));
    for (server, why) in [
        (around, "list of servers: a page came twice"),
        (refused, "what is served may not be read (access denied)"),
        (broken, "what is served cannot be read: "),
    ] {
        let (servers, calls) = seen(server).await;
        let told = servers.unwrap_err();
        assert!(told.starts_with(why), "{told}");
        assert_eq!(calls, 2, "{told}");
    }
}
