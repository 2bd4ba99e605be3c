//! What the client makes of a server that fails, answers nonsense or goes away.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reconciler::adapter::cluster::CLIENT_VERSION;
use reconciler::port::{CallCode, CallError, Cluster as _};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use super::server::{Cut, End, PATH_END, Reply, Scripted, cut};

const PATH: &str = "/proto.AuthService/UpdateKubernetesCluster";
const WATCH: &str = "/proto.AuthService/WatchEvents";

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn call(server: &Scripted) -> Result<Bytes, CallError> {
    server.connect().call(PATH, Bytes::from_static(PATH_END), PATIENCE).await
}

#[tokio::test]
async fn an_answer_comes_as_it_is_and_the_version_is_told() {
    let server = Scripted::new(|_, path, body| {
        assert_eq!((path, body.as_ref()), (PATH, PATH_END));
        Reply::Message(Bytes::from(vec![7; 5 * 1024 * 1024]))
    });
    // More than tonic takes by itself.
    assert_eq!(call(&server).await.unwrap().len(), 5 * 1024 * 1024);
    assert_eq!(server.versions(), [CLIENT_VERSION]);
}

/// What each of the server's own codes means for a write. `NoAnswer`, `Unknown` and `Internal`
/// leave it in doubt; the others say that it was not done.
const CODES: [(Code, CallCode); 16] = [
    (Code::Cancelled, CallCode::NoAnswer),
    (Code::Unknown, CallCode::Unknown),
    (Code::InvalidArgument, CallCode::InvalidArgument),
    (Code::DeadlineExceeded, CallCode::NoAnswer),
    (Code::NotFound, CallCode::NotFound),
    (Code::AlreadyExists, CallCode::AlreadyExists),
    (Code::PermissionDenied, CallCode::PermissionDenied),
    (Code::ResourceExhausted, CallCode::ResourceExhausted),
    (Code::FailedPrecondition, CallCode::FailedPrecondition),
    (Code::Aborted, CallCode::Internal),
    (Code::OutOfRange, CallCode::Internal),
    (Code::Unimplemented, CallCode::Unimplemented),
    (Code::Internal, CallCode::Internal),
    (Code::Unavailable, CallCode::NoAnswer),
    (Code::DataLoss, CallCode::Internal),
    (Code::Unauthenticated, CallCode::Internal),
];

#[tokio::test]
async fn every_code_of_the_server_has_its_meaning() {
    for (number, (code, meaning)) in (1..).zip(CODES) {
        assert_eq!(Code::from_i32(number), code, "the table has every code in order");
        let server = Scripted::always(Reply::Fail(Status::new(code, "its own words")));
        let error = call(&server).await.unwrap_err();
        assert_eq!(error, CallError { code: meaning, message: "its own words".into() }, "{code:?}");
    }
    // A code that gRPC does not have.
    let server = Scripted::always(Reply::Fail(Status::new(Code::from_i32(99), "?")));
    assert_eq!(call(&server).await.unwrap_err().code, CallCode::Unknown);
}

/// A connection that breaks: when the request was not sent it did nothing; else nobody knows.
const CUTS: &[(Cut, CallCode)] = &[
    (Cut::Refused, CallCode::Unavailable),
    (Cut::AtOnce, CallCode::NoAnswer),
    (Cut::AfterRequest, CallCode::NoAnswer),
    (Cut::Http1, CallCode::NoAnswer),
];

#[tokio::test]
async fn a_connection_that_breaks_says_nothing_but_when_it_was_never_made() {
    for (how, meaning) in CUTS {
        let sent = cut(*how).call(PATH, Bytes::from_static(PATH_END), PATIENCE).await;
        let error = sent.unwrap_err();
        assert_eq!(error.code, *meaning, "{how:?}: {error}");
        assert!(!error.message.is_empty(), "{how:?}");
    }
    let error = call(&Scripted::always(Reply::Broken)).await.unwrap_err();
    assert_eq!(error.code, CallCode::NoAnswer, "{error}");
}

/// HTTP statuses of proxies' own pages.
const PAGES: [u16; 10] = [200, 400, 401, 403, 404, 429, 500, 502, 503, 504];

#[tokio::test]
async fn the_page_of_a_proxy_is_no_answer() {
    for status in PAGES {
        let error = call(&Scripted::always(Reply::Page(status))).await.unwrap_err();
        // Nobody knows whether the proxy had passed the request on: in doubt.
        assert_eq!(error.code, CallCode::Internal, "{status}: {error}");
        assert!(!error.message.contains("Sign in"), "{error}");
    }
}

#[tokio::test]
async fn a_deadline_ends_the_wait_and_leaves_the_doubt() {
    let short = Duration::from_millis(100);
    let silent = Scripted::always(Reply::Nothing);
    let begun = Instant::now();
    let error = silent.connect().call(PATH, Bytes::new(), short).await.unwrap_err();
    assert_eq!(error.code, CallCode::NoAnswer, "{error}");
    assert_eq!(silent.calls(), 1);
    let error = cut(Cut::Silent).call(PATH, Bytes::new(), short).await.unwrap_err();
    assert_eq!(error.code, CallCode::NoAnswer, "{error}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    // The next call has a new try.
    let server = Scripted::new(|number, _, _| match number {
        0 => Reply::Nothing,
        _later => Reply::Message(Bytes::from_static(b"here")),
    });
    let client = server.connect();
    client.call(PATH, Bytes::new(), short).await.unwrap_err();
    assert_eq!(client.call(PATH, Bytes::new(), PATIENCE).await.unwrap(), "here");
}

async fn watched(reply: Reply) -> (Vec<Bytes>, Option<CallError>) {
    let client = Scripted::always(reply).connect();
    let mut stream = match client.watch(WATCH, Bytes::new()).await {
        Ok(stream) => std::pin::pin!(stream),
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut seen = Vec::new();
    while let Some(message) = stream.next().await {
        match message {
            Ok(message) => seen.push(message),
            Err(error) => return (seen, Some(error)),
        }
    }
    (seen, None)
}

#[tokio::test]
async fn a_watch_ends_as_the_server_ends_it() {
    let messages = || vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    assert_eq!(watched(Reply::Stream(messages(), End::Closed)).await, (messages(), None));
    let lost = Status::aborted("the buffer is full");
    let (seen, error) = watched(Reply::Stream(messages(), End::Failed(lost))).await;
    assert_eq!(seen, messages());
    let wanted = CallError { code: CallCode::Internal, message: "the buffer is full".into() };
    assert_eq!(error, Some(wanted));
    let refused = Status::permission_denied("no");
    let (seen, error) = watched(Reply::Fail(refused)).await;
    assert_eq!((seen.len(), error.unwrap().code), (0, CallCode::PermissionDenied));
    let (_, error) = watched(Reply::Page(502)).await;
    assert_eq!(error.unwrap().code, CallCode::Internal);
    let (_, error) = watched(Reply::Broken).await;
    assert_eq!(error.unwrap().code, CallCode::NoAnswer);
}

#[tokio::test]
async fn a_slow_watch_stays_open_and_unread_messages_are_kept() {
    let many: Vec<Bytes> = (0..200_u32).map(|n| Bytes::from(vec![0; 1000 + n as usize])).collect();
    let client = Scripted::always(Reply::Stream(many.clone(), End::Open)).connect();
    let mut stream = std::pin::pin!(client.watch(WATCH, Bytes::new()).await.unwrap());
    // The reader is slow; flow control holds the server back, nothing is lost.
    tokio::time::sleep(Duration::from_millis(50)).await;
    for wanted in &many {
        assert_eq!(stream.next().await.unwrap().unwrap(), wanted);
    }
    let more = tokio::time::timeout(Duration::from_millis(200), stream.next()).await;
    assert!(more.is_err(), "a quiet watch has not ended: {more:?}");
}
