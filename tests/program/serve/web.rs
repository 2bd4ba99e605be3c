//! What the Auth Service answers over plain HTTP, to callers with a certificate.

use prost::Message as _;
use reconciler::adapter::cluster::Remote;
use reconciler::kind::{self, call as request};
use reconciler::port::{CallCode, Cluster as _};
use reconciler::wire::message::{proto, types};
use tonic::Code;

use super::client::{PATIENCE, Port, call, http, kube, raw, rule};
use super::{CREATE, PING};

async fn put_role(port: &Port, request: Vec<u8>) {
    let editor = port.channel(&port.bearer("editor", &["everything"])).await.unwrap();
    raw(&editor, "/proto.AuthService/UpsertRoleV2", request).await.unwrap();
}

fn role(name: &str, spec: types::RoleSpecV6) -> Vec<u8> {
    let metadata = types::Metadata { name: name.to_owned(), ..Default::default() };
    let (version, metadata, spec) = ("v7".to_owned(), Some(metadata), Some(spec));
    let role = types::RoleV6 { version, metadata, spec, ..Default::default() };
    proto::UpsertRoleRequest { role: Some(role) }.encode_to_vec()
}

#[tokio::test]
async fn the_servers_are_told_to_who_may_read_them() {
    let port = Port::open().await;
    let bearer = port.bearer("visitor", &["access"]);
    let address = port.address.to_string();
    for (asked, kind) in [("authservers", "auth_server"), ("proxies", "proxy")] {
        let (number, told) = http(&port, &bearer, &format!("GET /v2/{asked}")).await;
        assert_eq!(number, 200, "{told}");
        let server = &told[0];
        assert_eq!((&server["kind"], &server["version"]), (&kind.into(), &"v2".into()));
        assert_eq!(server["spec"]["addr"], address.as_str());
        assert_eq!(server["spec"]["version"], "18.0.0");
        assert_eq!(server["spec"]["public_addrs"][0] == address.as_str(), kind == "proxy");
        assert!(server["metadata"]["name"].as_str().unwrap().len() > 30, "{server}");
        // The version in the path has no meaning.
        assert_eq!(http(&port, &bearer, &format!("GET /v1/{asked}")).await.0, 200);
        assert_eq!(http(&port, &bearer, &format!("POST /v2/{asked}")).await.0, 405);
    }
    for nothing in ["GET /v2/nodes", "GET /authservers", "GET /v2/", "GET /", "POST /v2/x"] {
        assert_eq!(http(&port, &bearer, nothing).await.0, 404, "{nothing}");
    }
    port.close().await;
}

#[tokio::test]
async fn a_denied_server_is_not_told() {
    let port = Port::open().await;
    let deny = Some(rule(&["auth_server", "proxy"], &["list", "read"]));
    put_role(&port, role("blind", types::RoleSpecV6 { deny, ..Default::default() })).await;
    let bearer = port.bearer("visitor", &["access", "blind"]);
    for (asked, kind) in [("authservers", "auth_server"), ("proxies", "proxy")] {
        let (number, told) = http(&port, &bearer, &format!("GET /v2/{asked}")).await;
        assert_eq!(number, 403);
        let text = format!("access denied to perform action \"list\" on \"{kind}\"");
        assert_eq!(told["error"]["message"], text.as_str());
    }
    port.close().await;
}

/// gRPC is spoken over HTTP/2 alone, and its methods are no paths of the web.
#[tokio::test]
async fn a_call_is_not_made_over_http_1() {
    let port = Port::open().await;
    let bearer = port.bearer("editor", &["everything"]);
    let asked = format!("POST {PING} HTTP/1.1\r\nContent-Type: application/grpc\r\nX: ");
    assert_eq!(http(&port, &bearer, &asked).await.0, 404);
    // And what is asked over the web is no method of gRPC.
    let channel = port.channel(&bearer).await.unwrap();
    let refused = raw(&channel, "/v2/authservers", Vec::new()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    port.close().await;
}

/// A real server then answers everything with the code of a missing resource. Whoever took that
/// for an answer about the resource would believe that all of them are gone.
#[tokio::test]
async fn a_caller_whose_role_is_gone_learns_nothing() {
    let port = Port::open().await;
    let everything = port.channel(&port.bearer("editor", &["everything"])).await.unwrap();
    call(&everything, CREATE, &kube("a")).await.unwrap();
    let allow = Some(rule(&["*"], &["*"]));
    put_role(&port, role("passing", types::RoleSpecV6 { allow, ..Default::default() })).await;
    let channel = port.channel(&port.bearer("agent", &["everything", "passing"])).await.unwrap();
    call(&channel, PING, &()).await.unwrap();
    let gone = proto::DeleteRoleRequest { name: "passing".to_owned() };
    call(&everything, "/proto.AuthService/DeleteRole", &gone).await.unwrap();

    let refused = call(&channel, PING, &()).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(refused.message(), "access denied\n\trole passing is not found");
    let remote = Remote::new(channel);
    for kind in kind::KINDS {
        let request = request::get(kind, "a");
        let failed = remote.call(request.path, request.body, PATIENCE).await.unwrap_err();
        assert_eq!(failed.code, CallCode::PermissionDenied, "{}: {failed}", kind.name.as_str());
    }
    port.close().await;
}
