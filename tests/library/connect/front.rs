//! A server on loopback that is an Auth Service, a proxy or a load balancer before one; behind it
//! answers the embedded plane.

#![allow(unreachable_pub, reason = "a module of a test")]
#![expect(clippy::indexing_slicing, reason = "test code")]

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use reconciler::adapter::clock::System;
use reconciler::adapter::teleport::{Names, provider};
use reconciler::plane::serve::serve_connections;
use reconciler::plane::{Plane, Settings};
use reconciler::port::Clock as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, copy_bidirectional,
    duplex,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_rustls::LazyConfigAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use crate::credentials::{Authority, SERVER_NAMES};

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// An Auth Service.
    Auth,
    /// A proxy that routes by ALPN.
    Proxy,
    /// A proxy whose services have ports of their own.
    Separate,
    /// A proxy behind a load balancer that ends TLS and drops ALPN.
    Balancer,
}

/// One handshake at the Auth Service.
#[derive(Debug, Clone)]
pub struct Seen {
    pub server_name: Option<String>,
    pub alpn: Vec<String>,
    pub user: String,
}

pub struct Front {
    pub port: u16,
    /// What stands behind it.
    pub plane: Plane,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    mode: Mode,
    auth: Mutex<Arc<ServerConfig>>,
    web: Arc<ServerConfig>,
    behind: mpsc::Sender<io::Result<DuplexStream>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<Vec<AbortHandle>>,
    refusing: AtomicBool,
}

impl Front {
    pub async fn start(mode: Mode, users: &Authority, hosts: &Authority, web: &Authority) -> Self {
        let (certificate, key) = web.server(&["localhost"]);
        let mut web = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate)],
                PrivatePkcs8KeyDer::from(key).into(),
            )
            .unwrap();
        if mode != Mode::Balancer {
            web.alpn_protocols = vec![b"teleport-reversetunnel".to_vec(), b"http/1.1".to_vec()];
        }
        let clock = System::start();
        let plane = Plane::open(Settings::default(), None, Arc::new(move || clock.now())).unwrap();
        let (behind, connections) = mpsc::channel(8);
        let connections = ReceiverStream::new(connections);
        tokio::spawn(serve_connections(plane.service(), connections, std::future::pending()));
        let shared = Arc::new(Shared {
            mode,
            auth: Mutex::new(auth_service(users, hosts)),
            web: Arc::new(web),
            behind,
            seen: Mutex::default(),
            connections: Mutex::default(),
            refusing: AtomicBool::new(false),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, plane, shared, accepting }
    }

    /// Handshakes at the Auth Service that succeeded.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// From now on the Auth Service's certificate is signed by that authority.
    pub fn sign_by(&self, users: &Authority, hosts: &Authority) {
        *self.shared.auth.lock().unwrap() = auth_service(users, hosts);
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// Closes new connections at once.
    pub fn refuse(&self, yes: bool) {
        self.shared.refusing.store(yes, Ordering::SeqCst);
    }
}

fn auth_service(users: &Authority, hosts: &Authority) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(users.der.clone())).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let (certificate, key) = hosts.server(&SERVER_NAMES);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from(certificate)],
            PrivatePkcs8KeyDer::from(key).into(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        if shared.refusing.load(Ordering::SeqCst) {
            continue;
        }
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            // How a connection ends is the client's affair.
            async move { drop(shared.connection(stream).await) }
        });
        shared.connections.lock().unwrap().push(task.abort_handle());
    }
}

impl Shared {
    async fn connection(&self, stream: TcpStream) -> io::Result<()> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let is_auth = start
            .client_hello()
            .alpn()
            .into_iter()
            .flatten()
            .any(|protocol| protocol.starts_with(b"teleport-auth@"));
        if self.mode == Mode::Auth || (self.mode == Mode::Proxy && is_auth) {
            return self.auth_service(start).await;
        }
        let mut stream = start.into_stream(Arc::clone(&self.web)).await?;
        let head = head(&mut stream).await?;
        if head.starts_with("GET /webapi/find ") {
            let multiplexed = self.mode != Mode::Separate;
            let body = format!(
                "{{\"proxy\":{{\"tls_routing_enabled\":{multiplexed}}},\
                 \"server_version\":\"18.0.0\",\"cluster_name\":\"root.test\"}}"
            );
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await?;
            return stream.shutdown().await;
        }
        if head.starts_with("GET /webapi/connectionupgrade ") && self.mode == Mode::Balancer {
            assert!(head.contains("Sec-WebSocket-Protocol: alpn-ping\r\n"), "{head}");
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                          Connection: Upgrade\r\nSec-WebSocket-Protocol: alpn-ping\r\n\r\n";
            stream.write_all(answer.as_bytes()).await?;
            let (inside, outside) = duplex(64 * 1024);
            let unframed = frames(stream, outside);
            let start = LazyConfigAcceptor::new(Acceptor::default(), inside);
            let served = async { self.auth_service(start.await?).await };
            return tokio::try_join!(unframed, served).map(drop);
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await
    }

    async fn auth_service<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        start: tokio_rustls::StartHandshake<S>,
    ) -> io::Result<()> {
        let hello = start.client_hello();
        let server_name = hello.server_name().map(str::to_owned);
        let alpn = hello.alpn().into_iter().flatten();
        let alpn = alpn.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let config = Arc::clone(&self.auth.lock().unwrap());
        let mut stream = start.into_stream(config).await?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap().to_vec();
        assert_eq!(certificates.len(), 1, "the Auth Service refuses intermediaries");
        let user = Names::read(certificates.first().unwrap()).unwrap().user;
        self.seen.lock().unwrap().push(Seen { server_name, alpn, user });
        let (mut ours, theirs) = duplex(64 * 1024);
        self.behind.send(Ok(theirs)).await.map_err(io::Error::other)?;
        copy_bidirectional(&mut stream, &mut ours).await.map(drop)
    }
}

async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

/// WebSocket as a proxy speaks it, with a ping before every frame.
async fn frames<S: AsyncRead + AsyncWrite>(stream: S, plain: DuplexStream) -> io::Result<()> {
    let (mut from, mut to) = tokio::io::split(stream);
    let (mut plain_from, mut plain_to) = tokio::io::split(plain);
    let inwards = async {
        loop {
            let first = from.read_u8().await?;
            let second = from.read_u8().await?;
            assert_eq!(second & 0x80, 0x80, "a client's frame is masked");
            let length = match second & 0x7F {
                126 => u64::from(from.read_u16().await?),
                127 => from.read_u64().await?,
                short => u64::from(short),
            };
            let mask = from.read_u32().await?;
            assert_eq!(mask, 0);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            from.read_exact(&mut payload).await?;
            match first & 0x0F {
                2 => plain_to.write_all(&payload).await?,
                10 => assert_eq!(payload, b"alive?"),
                other => return Err(io::Error::other(format!("operation {other}"))),
            }
        }
    };
    let outwards = async {
        let mut buffer = vec![0; 10_000];
        loop {
            let count = plain_from.read(&mut buffer).await?;
            if count == 0 {
                return to.write_all(&[0x88, 0]).await;
            }
            to.write_all(b"\x89\x06alive?").await?;
            to.write_all(&[0x82, 126]).await?;
            to.write_u16(u16::try_from(count).unwrap()).await?;
            to.write_all(&buffer[..count]).await?;
            to.flush().await?;
        }
    };
    tokio::try_join!(inwards, outwards).map(|((), ())| ())
}

/// Requests that an HTTP proxy got.
pub type ControlRequest = Arc<Mutex<Vec<String>>>;

/// An HTTP proxy that leads to one port, whatever it is asked for.
pub async fn http_proxy(to: u16) -> (u16, ControlRequest) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = ControlRequest::default();
    let told = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = Arc::clone(&told);
            tokio::spawn(async move {
                let head = head(&mut stream).await?;
                asked.lock().unwrap().push(head);
                let mut behind = TcpStream::connect(("127.0.0.1", to)).await?;
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                copy_bidirectional(&mut stream, &mut behind).await
            });
        }
    });
    (port, asked)
}
