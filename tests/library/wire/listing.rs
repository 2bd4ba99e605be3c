//! Lists that go on, go round, break off or hold what cannot be read.

use bytes::Bytes;
use prost::Message as _;
use reconciler::kind::{self, Kind};
use reconciler::live::{Coverage, Observed, Seen};
use reconciler::manifest::Reading;
use reconciler::model::{Cluster, ResourceId};
use reconciler::port::CallCode;
use reconciler::port::calls::{self, PAGES_MAX};
use reconciler::wire::message::{proto, types};
use tonic::Status;

use super::server::{Cut, Reply, Scripted, cut};
use super::stack::{KEY, Stack, read_right};

fn roles() -> &'static Kind {
    kind::find("role").unwrap()
}

fn role(name: &str) -> types::RoleV6 {
    types::RoleV6 {
        kind: "role".to_owned(),
        version: "v7".to_owned(),
        metadata: Some(types::Metadata { name: name.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

/// A page of roles; an empty token at the end.
fn page(names: &[&str], next: &str) -> Reply {
    let roles = names.iter().map(|name| role(name)).collect();
    let page = proto::ListRolesResponse { roles, next_key: next.to_owned() };
    Reply::Message(page.encode_to_vec().into())
}

/// Where the request wants to go on.
fn token(request: &Bytes) -> String {
    proto::ListRolesRequest::decode(request.clone()).unwrap().start_key
}

async fn listed(server: &Scripted) -> Observed {
    calls::list(&server.connect(), roles(), Cluster::Parent, &KEY).await
}

fn names(observed: &Observed) -> Vec<&str> {
    observed.seen().map(|live| &*live.id.name).collect()
}

fn partial(observed: &Observed) -> &str {
    match observed.coverage() {
        Coverage::Complete => panic!("a complete list"),
        Coverage::Partial(reason) => reason,
    }
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let server = Scripted::new(|_, _, request| match token(request).as_str() {
        "" => page(&["a", "b"], "b"),
        "b" => page(&["c"], "c"),
        "c" => page(&[], ""),
        other => panic!("no such page: {other}"),
    });
    let observed = listed(&server).await;
    assert_eq!(observed.coverage(), &Coverage::Complete);
    assert_eq!((names(&observed), server.calls()), (vec!["a", "b", "c"], 3));
    let id = |name| ResourceId::parent(roles().name, name);
    assert!(matches!(observed.look(&id("b")), Seen::Present(_)));
    assert!(matches!(observed.look(&id("d")), Seen::Absent));
}

#[tokio::test]
async fn a_page_that_comes_again_ends_the_list() {
    // At once, and after a while.
    let server = Scripted::new(|_, _, _| page(&["a"], "a"));
    let observed = listed(&server).await;
    assert_eq!(partial(&observed), "list of role: a page came twice");
    assert_eq!((names(&observed), server.calls()), (vec!["a"], 2));

    let server = Scripted::new(|_, _, request| match token(request).as_str() {
        "" => page(&["a"], "1"),
        "1" => page(&["b"], "2"),
        _other => page(&["c"], "1"),
    });
    let observed = listed(&server).await;
    assert_eq!(partial(&observed), "list of role: a page came twice");
    assert_eq!((names(&observed), server.calls()), (vec!["a", "b", "c"], 3));
    let unseen = ResourceId::parent(roles().name, "d");
    assert!(matches!(observed.look(&unseen), Seen::Unknown(_)), "unknown is not absent");
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let server = Scripted::new(|number, _, _| page(&[], &format!("{number}")));
    let (cluster, most) = (server.connect(), 1_000);
    let observed =
        calls::list_with(&cluster, roles(), Cluster::Parent, &KEY, |live| live, most).await;
    assert_eq!(partial(&observed), "list of role: it has more than 1000 pages");
    assert_eq!((server.calls(), PAGES_MAX), (most, 1_000_000));
}

#[tokio::test]
async fn what_was_seen_before_an_error_stays() {
    for (reply, said) in [
        (
            Reply::Fail(Status::permission_denied("access denied")),
            "PermissionDenied: access denied",
        ),
        (Reply::Fail(Status::unavailable("restarting")), "NoAnswer: restarting"),
        (Reply::Page(502), "Internal"),
        (Reply::Page(200), "Internal"),
        (Reply::Broken, "NoAnswer"),
        (Reply::Message(Bytes::from_static(b"\xFF\xFF")), "proto.ListRolesResponse"),
    ] {
        let second = reply.clone();
        let server = Scripted::new(move |number, _, _| match number {
            0 => page(&["a", "b"], "b"),
            _later => second.clone(),
        });
        let observed = listed(&server).await;
        let reason = partial(&observed);
        assert!(reason.starts_with("list of role: ") && reason.contains(said), "{reason}");
        assert_eq!((names(&observed), server.calls()), (vec!["a", "b"], 2), "{said}");
        // The first page failing leaves nothing at all, and nothing known.
        let observed = listed(&Scripted::always(reply)).await;
        assert!(names(&observed).is_empty() && partial(&observed).contains(said));
    }
    for how in [Cut::Refused, Cut::AtOnce, Cut::Http1] {
        let observed = calls::list(&cut(how), roles(), Cluster::Parent, &KEY).await;
        assert!(partial(&observed).starts_with("list of role: "), "{how:?}");
    }
}

/// Pages that end in the middle of a page, and one resource twice.
#[tokio::test]
async fn a_resource_that_moved_between_pages_is_seen_once() {
    let server = Scripted::new(|_, _, request| match token(request).as_str() {
        "" => page(&["a", "b"], "b"),
        _later => page(&["b", "c"], ""),
    });
    let observed = listed(&server).await;
    assert_eq!(observed.coverage(), &Coverage::Complete);
    assert_eq!(names(&observed), ["a", "b", "c"]);
}

/// A page's field `roles` with these bytes for items.
fn raw_page(items: &[&[u8]]) -> Reply {
    let mut page = Vec::new();
    for item in items {
        page.push(0x0A);
        page.push(u8::try_from(item.len()).unwrap());
        page.extend_from_slice(item);
    }
    Reply::Message(page.into())
}

#[tokio::test]
async fn one_broken_resource_makes_the_list_partial_and_hides_no_other() {
    let good = role("good").encode_to_vec();
    let nameless = types::RoleV6::default().encode_to_vec();
    let server = Scripted::always(raw_page(&[&nameless, &good, b"\xFF\xFF"]));
    let observed = listed(&server).await;
    assert_eq!(names(&observed), ["good"]);
    let reason = partial(&observed);
    assert!(reason.starts_with("unreadable role on the server: types.RoleV6: "), "{reason}");
    assert!(reason.contains("it has no name") && !reason.contains("more"), "{reason}");

    let server = Scripted::always(raw_page(&[b"\xFF".as_slice(); 5]));
    let observed = listed(&server).await;
    assert!(partial(&observed).ends_with(" and 2 more"), "{}", partial(&observed));
}

#[tokio::test]
async fn a_field_of_a_newer_server_is_no_trouble_and_is_kept() {
    let mut newer = role("newer").encode_to_vec();
    // Field 1000, text.
    newer.extend_from_slice(&[0xC2, 0x3E, 3, b'n', b'e', b'w']);
    let observed = listed(&Scripted::always(raw_page(&[&newer]))).await;
    assert_eq!(observed.coverage(), &Coverage::Complete);
    let live = observed.seen().next().unwrap();
    assert_eq!(live.wire, newer);
}

#[tokio::test]
async fn a_read_names_what_was_asked_for() {
    let id = ResourceId::parent(roles().name, "a");
    let fetch =
        async |reply| calls::fetch(&Scripted::always(reply).connect(), roles(), &id, &KEY).await;
    let found = fetch(Reply::Message(role("a").encode_to_vec().into())).await.unwrap();
    assert_eq!(found.unwrap().id, id);
    let gone = fetch(Reply::Fail(Status::not_found("role a is not found"))).await;
    assert_eq!(gone, Ok(None));
    let other = fetch(Reply::Message(role("b").encode_to_vec().into())).await.unwrap_err();
    assert_eq!(
        (other.code, other.message.as_str()),
        (CallCode::Internal, "asked for role/a, got role/b")
    );
    // An empty answer is no resource, and not the absence of one.
    let empty = fetch(Reply::Message(Bytes::new())).await.unwrap_err();
    assert_eq!(empty.code, CallCode::Internal, "{empty}");
    let nonsense = fetch(Reply::Message(Bytes::from_static(b"\xFF"))).await.unwrap_err();
    assert_eq!(nonsense.code, CallCode::Internal, "{nonsense}");
    let down = fetch(Reply::Fail(Status::unavailable("down"))).await.unwrap_err();
    assert_eq!(down.code, CallCode::NoAnswer);
}

/// More than two pages of the size that is asked for.
const COUNT: usize = 2_500;

/// Makes that many of a kind; what declares them.
async fn with_many(stack: &Stack, kind: &'static Kind, version: &str) -> Reading {
    let name = kind.name;
    let text: Vec<String> = (0..COUNT)
        .map(|n| format!("kind: {name}\n{version}\nmetadata: {{name: n{n:04}}}\nspec: {{}}\n"))
        .collect();
    let texts: Vec<String> = text.chunks(900).map(|some| some.join("---\n")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let reading = read_right(&texts);
    for manifest in reading.manifests.values() {
        let step = reconciler::plan::Step {
            id: manifest.resource.id.clone(),
            action: reconciler::plan::Action::Create { after: manifest.resource.clone() },
            reason: reconciler::plan::Reason::Missing,
            note: None,
            at: None,
            after: Vec::new(),
        };
        calls::write(&stack.cluster, kind, &step, super::stack::OWNER).await.unwrap();
    }
    reading
}

#[tokio::test]
async fn a_plane_with_many_roles_is_listed_whole() {
    let mut stack = Stack::new();
    let reading = with_many(&stack, roles(), "version: v7").await;
    let before = stack.calls("ListRoles");
    let live = stack.live().await;
    assert_eq!(stack.calls("ListRoles"), before + 3);
    // And the three presets.
    assert_eq!(live.kinds[&(Cluster::Parent, roles().name)].seen().count(), COUNT + 3);
    let plan = stack.plan(&reading).await;
    assert_eq!(plan.steps.len(), COUNT, "all are taken back: they bear our mark");
    stack = stack.without_memory();
    assert!(stack.journal().inventory.is_empty());
}

/// Servers leave one user out at each page's end; it is read by itself.
#[tokio::test]
async fn a_plane_with_many_users_is_listed_whole() {
    let stack = Stack::new();
    let users = kind::find("user").unwrap();
    let reading = with_many(&stack, users, "version: v2").await;
    let (lists, reads) = (stack.calls("ListUsers"), stack.calls("GetUser"));
    let observed = calls::list(&stack.cluster, users, Cluster::Parent, &KEY).await;
    assert_eq!(observed.coverage(), &Coverage::Complete);
    let seen: Vec<&str> = names(&observed);
    let declared: Vec<&str> = reading.manifests.keys().map(|id| &*id.name).collect();
    assert_eq!(seen, declared);
    assert_eq!((stack.calls("ListUsers") - lists, stack.calls("GetUser") - reads), (3, 2));
}
