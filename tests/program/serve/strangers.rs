//! Whatever else arrives at the port: web questions, SSH, silence, nonsense.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use super::client::{PATIENCE, Port, call, kube, raw};
use super::{CREATE, PING};

/// Longest time that a call may take while others misbehave.
const PROMPT: Duration = Duration::from_secs(5);

/// Everything that comes until the other side ends it.
async fn until_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut got = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut got));
    // A reset is an end too.
    let _ended = reading.await.expect("the server ends it").is_ok();
    String::from_utf8_lossy(&got).into_owned()
}

async fn asks(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    let text = format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    until_end(&mut stream).await
}

fn json(answer: &str) -> serde_json::Value {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn web_questions_are_answered_with_and_without_tls() {
    let port = Port::open().await;
    for path in ["/webapi/find", "/webapi/ping", "/v1/webapi/find?group=x"] {
        let plain = TcpStream::connect(port.address).await.unwrap();
        let told = json(&asks(plain, &format!("GET {path}")).await);
        assert_eq!(told["cluster_name"], "embedded.local", "{path}");
        assert_eq!(told["server_version"], "18.0.0");
        assert_eq!(told["proxy"]["tls_routing_enabled"], true);
        let listen = port.address.to_string();
        assert_eq!(told["proxy"]["ssh"]["web_listen_addr"], listen.as_str());
        assert_eq!(told["auth"]["type"].is_string(), path.ends_with("ping"));
        for alpn in [vec![], vec![b"http/1.1".as_slice()]] {
            let tls = port.tls(None, &alpn, &rustls::version::TLS13).await.unwrap();
            assert_eq!(json(&asks(tls, &format!("GET {path}")).await), told);
        }
    }
    let ask = async |request| asks(TcpStream::connect(port.address).await.unwrap(), request).await;
    assert!(ask("POST /webapi/find").await.starts_with("HTTP/1.1 405"));
    assert!(ask("GET /webapi/sites").await.starts_with("HTTP/1.1 404"));
    assert!(ask("POST /proto.AuthService/Ping").await.starts_with("HTTP/1.1 404"));
    port.close().await;
}

#[tokio::test]
async fn without_a_certificate_there_is_no_call() {
    let port = Port::open().await;
    let nobody = port.anonymous().await;
    let counters = || port.plane.with_core(|core| core.counters().clone()).unwrap();
    let before = counters();
    for path in [PING, CREATE, "/no.such/Method"] {
        let refused = call(&nobody, path, &kube("a")).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{path}: {refused:?}");
    }
    assert_eq!(counters(), before, "a stranger's call reached the plane");
    port.close().await;
}

#[tokio::test]
async fn ssh_is_turned_away() {
    let port = Port::open().await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(b"SSH-2.0-Go\r\n").await.unwrap();
    assert_eq!(until_end(&mut stream).await, "");
    let bearer = port.bearer("editor", &["editor"]);
    let alpn = b"teleport-reversetunnel".as_slice();
    let mut tunnel = port.tls(Some(&bearer), &[alpn], &rustls::version::TLS13).await.unwrap();
    assert_eq!(until_end(&mut tunnel).await, "");
    call(&port.channel(&bearer).await.unwrap(), PING, &()).await.unwrap();
    port.close().await;
}

#[tokio::test]
async fn whoever_stops_half_way_waits_alone_and_not_for_ever() {
    let port = Port::open().await;
    let began = Instant::now();
    let mut stuck = Vec::new();
    for number in 0..60 {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        // Nothing at all; a TLS record that never ends; a request that never ends.
        let beginning: &[u8] = match number % 3 {
            0 => b"",
            1 => &[22, 3, 1, 2, 0, 1, 0],
            _ => b"GET /webapi/find HTTP/1.1\r\nHost",
        };
        stream.write_all(beginning).await.unwrap();
        stuck.push(stream);
    }
    let bearer = port.bearer("editor", &["everything"]);
    let channel = port.channel(&bearer).await.unwrap();
    call(&channel, CREATE, &kube("a")).await.unwrap();
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    for stream in &mut stuck {
        until_end(stream).await;
    }
    assert!(began.elapsed() > Duration::from_secs(5), "slow is not yet dead");
    call(&channel, PING, &()).await.unwrap();
    port.close().await;
}

#[tokio::test]
async fn nonsense_ends_only_its_own_connection() {
    let port = Port::open().await;
    let bearer = port.bearer("editor", &["everything"]);
    let good = port.channel(&bearer).await.unwrap();
    call(&good, PING, &()).await.unwrap();

    // Nonsense instead of TLS, and of HTTP.
    for bytes in [[0_u8; 64], [22; 64], [255; 64]] {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        until_end(&mut stream).await;
    }
    // HTTP/2 frames that are none, after a good preface.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    for frame in [
        [0xff_u8; 32].as_slice(),
        // DATA on a stream that was never opened.
        &[0, 0, 4, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4],
        // HEADERS that cannot be unpacked.
        &[0, 0, 3, 1, 4, 0, 0, 0, 1, 0xff, 0xff, 0xff],
        // SETTINGS of a length that cannot be.
        &[0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5],
    ] {
        let mut stream = port.tls(Some(&bearer), &[b"h2"], &rustls::version::TLS13).await.unwrap();
        stream.write_all(&[preface, frame].concat()).await.unwrap();
        until_end(&mut stream).await;
    }
    call(&good, PING, &()).await.unwrap();
    port.close().await;
}

#[tokio::test]
async fn messages_that_are_none_are_refused() {
    let port = Port::open().await;
    let bearer = port.bearer("editor", &["everything"]);
    let channel = port.channel(&bearer).await.unwrap();
    let refused = raw(&channel, CREATE, vec![0xff; 100]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal, "{refused:?}");
    // More than the 4 MiB that an Auth Service takes.
    let refused = raw(&channel, CREATE, vec![0; 5 << 20]).await.unwrap_err();
    assert!([Code::OutOfRange, Code::ResourceExhausted].contains(&refused.code()), "{refused:?}");
    let refused = call(&channel, "/no.such.Service/Method", &()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let refused = call(&channel, "/proto.AuthService/CreateRole", &()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "a role that is not there: {refused:?}");
    call(&channel, PING, &()).await.unwrap();
    port.close().await;
}

/// More silent connections than the process may have files: whoever comes later is answered all
/// the same, and the log is not flooded.
#[test]
fn silent_strangers_keep_nobody_out() {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    /// Open files that the server may have.
    const FILES: usize = 64;

    let mut served = crate::served::Served::start();
    let log = served.restart_limited(FILES);
    let identity = served.identity("ann", "everything").display().to_string();
    let find = || {
        let mut stream = TcpStream::connect(&served.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /webapi/find HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    let mut silent = Vec::new();
    for _ in 0..4 * FILES {
        silent.push(TcpStream::connect(&served.address).unwrap());
    }
    for _ in 0..3 {
        let answer = find().expect("an answer while strangers are silent");
        assert!(answer.contains("\"cluster_name\":\"embedded.local\""), "{answer}");
    }
    // Callers with a certificate are served as well, and stay.
    let config = format!(
        "[agent]\nname = \"edge\"\n[control_plane]\nkind = \"teleport\"\naddress = {:?}\n\
         identity_file = {identity:?}\n[state]\npath = \"agent/state.db\"\n",
        served.address
    );
    std::fs::write(served.dir.path().join("agent.toml"), config).unwrap();
    let output = served.run(&["--config", "agent.toml", "get", "role/everything"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(silent);
    let said = std::fs::read_to_string(log).unwrap();
    let lines = said.lines().filter(|line| line.contains("makes room")).count();
    assert!((1..FILES).contains(&lines), "{lines} lines:\n{said}");
    assert!(!said.contains("Too many open files"), "{said}");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_as_a_go_server_does() {
    let port = Port::open().await;
    let channel = port.channel(&port.bearer("ann", &["everything"])).await.unwrap();
    let mut large = kube("a");
    large.metadata.get_or_insert_default().description = "x".repeat(5_000_000);
    let refused = call(&channel, CREATE, &large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let size = prost::Message::encoded_len(&large);
    let text = format!("grpc: received message larger than max ({size} vs. 4194304)");
    assert_eq!(refused.message(), text);
    port.close().await;
}
