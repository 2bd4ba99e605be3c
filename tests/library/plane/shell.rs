//! The shell: disk, in-process gRPC, watches as streams, faults around the commit.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message as _;
use reconciler::model::{Now, Timestamp};
use reconciler::plane::core::WATCH_EVENTS;
use reconciler::plane::serve::Clock;
use reconciler::plane::{Caller, Fault, Moment, Plane, Settings, Status};
use reconciler::wire::codec::BytesCodec;
use reconciler::wire::message::{proto, types};
use tonic::client::Grpc;
use tonic::transport::Channel;

use super::support::{WALL, kube, named};

const CREATE: &str = "/proto.AuthService/CreateKubernetesCluster";
const GET: &str = "/proto.AuthService/GetKubernetesCluster";
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Executor(Arc<Mutex<Now>>);

impl Executor {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Now { monotonic: Duration::ZERO, wall: Timestamp(WALL) })))
    }

    fn clock(&self) -> Clock {
        let hands = self.0.clone();
        Arc::new(move || *hands.lock().unwrap())
    }

    fn turn(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        now.monotonic += time;
        now.wall = now.wall.plus(time);
    }
}

fn open(path: Option<&Path>) -> Plane {
    Plane::open(Settings::default(), path, Executor::new().clock()).unwrap()
}

async fn call(plane: &Plane, path: &str, body: &impl prost::Message) -> Result<Vec<u8>, Status> {
    plane.call(&Caller::admin(), path, &body.encode_to_vec()).await
}

async fn unary(
    channel: &Channel,
    path: &'static str,
    body: Vec<u8>,
) -> Result<tonic::Response<Bytes>, tonic::Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from(body));
    let path = PathAndQuery::from_static(path);
    tokio::time::timeout(PATIENCE, grpc.unary(request, path, BytesCodec)).await.unwrap()
}

#[tokio::test]
async fn a_reopened_database_holds_what_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plane.db");
    let plane = open(Some(&path));
    call(&plane, CREATE, &kube("a")).await.unwrap();
    call(&plane, CREATE, &kube("b")).await.unwrap();
    let live = call(&plane, GET, &named("a")).await.unwrap();
    call(&plane, "/proto.AuthService/DeleteKubernetesCluster", &named("b")).await.unwrap();
    let id = "/teleport.clusterconfig.v1.ClusterConfigService/GetClusterName";
    let cluster = call(&plane, id, &()).await.unwrap();
    let locked = Plane::open(Settings::default(), Some(&path), Executor::new().clock());
    assert!(locked.is_err(), "one process holds the database");
    plane.close().await;
    drop(plane);
    let plane = open(Some(&path));
    assert_eq!(call(&plane, GET, &named("a")).await.unwrap(), live, "with its revision");
    assert_eq!(call(&plane, GET, &named("b")).await.unwrap_err().code, 5);
    assert_eq!(call(&plane, id, &()).await.unwrap(), cluster, "with its id");
}

#[test]
fn foreign_and_newer_databases_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plane.db");
    drop(open(Some(&path)));
    let set = |pragma: &str, value: i64| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, pragma, value).unwrap();
    };
    let refused = || {
        let error =
            Plane::open(Settings::default(), Some(&path), Executor::new().clock()).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    set("user_version", 99);
    assert_eq!(refused(), "schema 99 is newer than this program's schema 1");
    set("application_id", 7);
    assert_eq!(refused(), "not a control plane's database");
    std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
    assert!(!refused().is_empty());
}

#[tokio::test]
async fn a_database_that_fails_stops_the_plane() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plane.db");
    // A trigger stands for a disk that fails at one write.
    drop(open(Some(&path)));
    let connection = rusqlite::Connection::open(&path).unwrap();
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON items WHEN NEW.name = 'bad'
        BEGIN SELECT RAISE(FAIL, 'disk full'); END";
    connection.execute_batch(trigger).unwrap();
    drop(connection);
    let plane = open(Some(&path));
    call(&plane, CREATE, &kube("good")).await.unwrap();
    let failed = call(&plane, CREATE, &kube("bad")).await.unwrap_err();
    assert_eq!(failed.code, 14, "{failed}");
    assert!(failed.message.contains("disk full"), "{failed}");
    assert_eq!(call(&plane, GET, &named("bad")).await.unwrap_err().code, 14, "no lies");
    assert!(plane.health().is_err());
    plane.close().await;
    drop(plane);
    let plane = open(Some(&path));
    call(&plane, GET, &named("good")).await.unwrap();
    assert_eq!(call(&plane, GET, &named("bad")).await.unwrap_err().code, 5);
}

#[tokio::test]
async fn a_panic_is_not_hidden() {
    let plane = open(None);
    let other = plane.clone();
    let died = tokio::task::spawn_blocking(move || other.with_core(|_| panic!("on purpose")));
    assert!(died.await.is_err());
    assert_eq!(plane.health().unwrap_err().code, 13);
    assert_eq!(call(&plane, GET, &named("a")).await.unwrap_err().code, 13);
}

#[tokio::test]
async fn the_pipe_in_this_process_speaks_grpc() {
    let plane = open(None);
    let channel = plane.in_process().unwrap();
    let answer = unary(&channel, "/proto.AuthService/Ping", Vec::new()).await.unwrap();
    assert_eq!(answer.metadata().get("version").unwrap(), "18.0.0");
    let ping = proto::PingResponse::decode(answer.into_inner()).unwrap();
    assert_eq!(ping.cluster_name, "embedded.local");
    unary(&channel, CREATE, kube("a").encode_to_vec()).await.unwrap();
    let again = unary(&channel, CREATE, kube("a").encode_to_vec()).await.unwrap_err();
    assert_eq!(again.code(), tonic::Code::AlreadyExists);
    assert_eq!(again.message(), "kubernetes cluster \"a\" already exists");
    let unknown = unary(&channel, "/no.such.Service/Method", Vec::new()).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::Unimplemented);
    plane.close().await;
}

async fn watch(channel: &Channel, kind: &str) -> tonic::Streaming<Bytes> {
    let kind = types::WatchKind { kind: kind.to_owned(), ..Default::default() };
    let watch = proto::Watch { kinds: vec![kind], ..Default::default() };
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from(watch.encode_to_vec()));
    let path = PathAndQuery::from_static(WATCH_EVENTS);
    grpc.server_streaming(request, path, BytesCodec).await.unwrap().into_inner()
}

async fn next(
    events: &mut tonic::Streaming<Bytes>,
) -> Result<Option<proto::Operation>, tonic::Status> {
    let event = tokio::time::timeout(PATIENCE, events.message()).await.unwrap()?;
    Ok(event.map(|bytes| proto::Event::decode(bytes).unwrap().r#type()))
}

#[tokio::test]
async fn a_watch_streams_until_the_plane_closes() {
    let plane = open(None);
    let channel = plane.in_process().unwrap();
    let mut events = watch(&channel, "kube_cluster").await;
    assert_eq!(next(&mut events).await.unwrap(), Some(proto::Operation::Init));
    unary(&channel, CREATE, kube("a").encode_to_vec()).await.unwrap();
    assert_eq!(next(&mut events).await.unwrap(), Some(proto::Operation::Put));
    let mut other = watch(&channel, "role").await;
    assert_eq!(next(&mut other).await.unwrap(), Some(proto::Operation::Init));
    plane.with_core(reconciler::plane::Core::reset_watches).unwrap();
    let ended = next(&mut other).await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unknown);
    assert_eq!(ended.message(), "event fanout system reset");
    tokio::time::timeout(PATIENCE, plane.close()).await.expect("no task is left behind");
}

#[tokio::test]
async fn a_watch_hears_of_what_time_does() {
    let hands = Executor::new();
    let settings = Settings { lag: Duration::from_millis(50), ..Default::default() };
    let plane = Plane::open(settings, None, hands.clock()).unwrap();
    let channel = plane.in_process().unwrap();
    let mut events = watch(&channel, "kube_cluster").await;
    assert_eq!(next(&mut events).await.unwrap(), Some(proto::Operation::Init));
    unary(&channel, CREATE, kube("a").encode_to_vec()).await.unwrap();
    hands.turn(Duration::from_millis(50));
    assert_eq!(next(&mut events).await.unwrap(), Some(proto::Operation::Put));
    plane.close().await;
}

#[tokio::test]
async fn answers_are_held_around_the_commit() {
    for (moment, written) in [(Moment::Before, false), (Moment::After, true)] {
        let plane = open(None);
        plane.with_core(|core| core.faults_mut().set(CREATE, Fault::Hold(moment))).unwrap();
        let other = plane.clone();
        let held = tokio::task::JoinSet::from_iter([async move {
            other.call(&Caller::admin(), CREATE, &kube("a").encode_to_vec()).await
        }]);
        let called = async {
            loop {
                let now = plane.with_core(|core| core.counters().contains_key(CREATE)).unwrap();
                if now == written {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, called).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(call(&plane, GET, &named("a")).await.is_ok(), written, "{moment:?}");
        assert_eq!(held.len(), 1);
        plane.with_core(|core| core.faults_mut().clear()).unwrap();
        let results = tokio::time::timeout(PATIENCE, held.join_all()).await.unwrap();
        assert!(results.into_iter().all(|result| result.is_ok()), "released: {moment:?}");
        call(&plane, GET, &named("a")).await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_answer_is_done_and_not_told() {
    let plane = open(None);
    let channel = plane.in_process().unwrap();
    plane.with_core(|core| core.faults_mut().set(CREATE, Fault::Drop { times: 1 })).unwrap();
    let lost = unary(&channel, CREATE, kube("a").encode_to_vec()).await.unwrap_err();
    assert!(
        [tonic::Code::Unknown, tonic::Code::Internal, tonic::Code::Cancelled]
            .contains(&lost.code()),
        "a code that leaves it open: {lost:?}"
    );
    unary(&channel, GET, named("a").encode_to_vec()).await.unwrap();
    unary(&channel, CREATE, kube("b").encode_to_vec()).await.unwrap();
    plane.close().await;
}

/// The service is a tower service that any server of HTTP/2 takes, here on a Unix socket.
#[tokio::test]
async fn the_service_is_served_by_another_server() {
    let plane = open(None);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    let stop = tokio_util::sync::CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    let server = tonic::transport::Server::builder();
    let over = stop.clone().cancelled_owned();
    let service = plane.service();
    tasks.spawn(async move { server.serve_with_incoming_shutdown(service, incoming, over).await });
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        async move {
            let stream = tokio::net::UnixStream::connect(path).await?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://socket");
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    unary(&channel, CREATE, kube("a").encode_to_vec()).await.unwrap();
    unary(&channel, GET, named("a").encode_to_vec()).await.unwrap();
    drop(channel);
    stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, tasks.join_next()).await.unwrap();
    ended.unwrap().unwrap().unwrap();
}
