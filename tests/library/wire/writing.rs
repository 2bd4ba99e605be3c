//! Writes: what is sent, what is not, and what the answer says.

use std::sync::Arc;

use bytes::Bytes;
use reconciler::model::{Live, ResourceId, Revision};
use reconciler::plan::{Action, Reason, Step};
use reconciler::port::{CallCode, calls};
use tonic::Status;

use super::server::{Reply, Scripted};
use super::stack::{OWNER, Stack, read_right, row};

const ROLE: &str = "kind: role\nversion: v7\nmetadata: {name: r}\nspec: {allow: {logins: [a]}}\n";
const KUBE: &str = "kind: kube_cluster\nversion: v3\nmetadata: {name: k, labels: {env: a}}\n";
const CHILD: &str = include_str!("../../data/seeds/workload_cluster-child-new.yaml");

/// What is there of one manifest, and what is wanted in the words of another.
async fn between(stack: &mut Stack, old: &str, new: &str) -> (Live, Step) {
    let reading = read_right(&[old]);
    drop(stack.converge(&reading).await);
    let id = reading.manifests.keys().next().unwrap().clone();
    let live = stack.fetch(&id).await.unwrap();
    let after = Arc::clone(&read_right(&[new]).manifests[&id].resource);
    let action = Action::Update { before: Arc::new(live.clone()), after, changes: Vec::new() };
    (live, step(id, action))
}

fn step(id: ResourceId, action: Action) -> Step {
    Step { id, action, reason: Reason::Edited, note: None, at: None, after: Vec::new() }
}

#[tokio::test]
async fn a_write_is_one_call() {
    let mut stack = Stack::new();
    let (_, update) = between(&mut stack, KUBE, &KUBE.replace("env: a", "env: b")).await;
    let gets = stack.calls("Get");
    calls::write(&stack.cluster, row(&update.id), &update, OWNER).await.unwrap();
    let live = stack.fetch(&update.id).await.unwrap();
    let delete = step(update.id.clone(), Action::Delete { before: Arc::new(live) });
    calls::write(&stack.cluster, row(&update.id), &delete, OWNER).await.unwrap();
    // The one read is the test's own: the last look before a write is the engine's.
    assert_eq!(stack.calls("Get"), gets + 1);
    assert!(stack.fetch(&update.id).await.is_none());
}

#[tokio::test]
async fn a_compared_write_is_bound_to_the_revision_of_the_plan() {
    let mut stack = Stack::new();
    let (live, update) = between(&mut stack, ROLE, &ROLE.replace("[a]", "[b]")).await;
    let written = calls::write(&stack.cluster, row(&update.id), &update, OWNER).await.unwrap();
    assert_ne!(written.revision, live.revision);
    assert_eq!(stack.fetch(&update.id).await.unwrap().revision, written.revision);
    // The same again: what the plan saw is not there any more.
    let error = calls::write(&stack.cluster, row(&update.id), &update, OWNER).await.unwrap_err();
    assert_eq!(error.code, CallCode::FailedPrecondition, "{error}");
    assert_eq!(stack.fetch(&update.id).await.unwrap().revision, written.revision);
}

#[tokio::test]
async fn a_create_meets_what_is_there_and_a_delete_what_is_not() {
    let mut stack = Stack::new();
    let (live, update) = between(&mut stack, ROLE, ROLE).await;
    let Action::Update { before: _, after, changes: _ } = update.action else { panic!() };
    let create = step(live.id.clone(), Action::Create { after });
    let error = calls::write(&stack.cluster, row(&live.id), &create, OWNER).await.unwrap_err();
    assert_eq!(error.code, CallCode::AlreadyExists, "{error}");
    let id = live.id.clone();
    let delete = step(id.clone(), Action::Delete { before: Arc::new(live) });
    let written = calls::write(&stack.cluster, row(&id), &delete, OWNER).await.unwrap();
    assert_eq!(written.revision, None);
    let error = calls::write(&stack.cluster, row(&id), &delete, OWNER).await.unwrap_err();
    assert_eq!(error.code, CallCode::NotFound, "{error}");
}

#[tokio::test]
async fn what_is_no_write_is_not_sent() {
    let mut stack = Stack::new();
    let (live, update) = between(&mut stack, CHILD, CHILD).await;
    let server = Scripted::always(Reply::Message(Bytes::new()));
    let client = server.connect();
    let Action::Update { before, after, changes: _ } = update.action else { panic!() };
    let adopt = step(live.id.clone(), Action::Adopt { live: before, after });
    let error = calls::write(&client, row(&live.id), &adopt, OWNER).await.unwrap_err();
    let wanted = "the adoption of workload_cluster/child is no write";
    assert_eq!((error.code, error.message.as_str()), (CallCode::InvalidArgument, wanted));
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn the_answer_tells_the_revision_where_the_call_returns_the_resource() {
    let mut stack = Stack::new();
    let (live, update) = between(&mut stack, ROLE, &ROLE.replace("[a]", "[b]")).await;
    // The server's own words, whatever they are.
    let echo = Scripted::always(Reply::Message(live.wire.clone()));
    let written = calls::write(&echo.connect(), row(&live.id), &update, OWNER).await.unwrap();
    assert_eq!(written.revision, live.revision);
    assert!(matches!(&written.revision, Some(Revision(text)) if !text.is_empty()));
    // An answer that cannot be read is an answer all the same: it was done.
    for odd in [Bytes::new(), Bytes::from_static(b"\xFF\xFF")] {
        let server = Scripted::always(Reply::Message(odd));
        let written = calls::write(&server.connect(), row(&live.id), &update, OWNER).await.unwrap();
        assert_eq!(written.revision, None);
    }
}

#[tokio::test]
async fn an_error_is_the_servers_and_nothing_is_tried_twice() {
    let mut stack = Stack::new();
    let (live, update) = between(&mut stack, KUBE, &KUBE.replace("env: a", "env: b")).await;
    for status in [Status::unavailable("down"), Status::unknown("odd"), Status::aborted("moved")] {
        let server = Scripted::always(Reply::Fail(status.clone()));
        let error = calls::write(&server.connect(), row(&live.id), &update, OWNER).await;
        assert_eq!(error.unwrap_err().message, status.message());
        assert_eq!(server.calls(), 1, "{status}");
    }
}
