//! A plane on a port, and clients of it with and without certificates.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use reconciler::adapter::clock::System;
use reconciler::plane::ca::{Identity, Wanted};
use reconciler::plane::{Caller, Plane, Settings};
use reconciler::port::Clock as _;
use reconciler::wire::codec::BytesCodec;
use reconciler::wire::message::{proto, types, wrappers};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A served plane.
pub(crate) struct Port {
    pub(crate) plane: Plane,
    pub(crate) address: SocketAddr,
    serving: JoinSet<()>,
}

/// What a client shows and trusts.
pub(crate) struct Bearer {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: String,
}

impl Bearer {
    pub(crate) fn of(identity: &Identity, roots: &str) -> Self {
        let certificate = identity.certificate.as_bytes();
        Self {
            chain: vec![CertificateDer::from_pem_slice(certificate).unwrap()],
            key: PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap(),
            roots: roots.to_owned(),
        }
    }
}

impl Port {
    pub(crate) async fn open() -> Self {
        Self::over(None).await
    }

    pub(crate) async fn over(file: Option<&Path>) -> Self {
        let clock = System::start();
        let plane = Plane::open(Settings::default(), file, Arc::new(move || clock.now())).unwrap();
        allow_everything(&plane).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        let served = plane.clone();
        serving.spawn(async move { served.serve_tls(listener).await.unwrap() });
        Self { plane, address, serving }
    }

    /// Ends the server; a task that panicked fails the test.
    pub(crate) async fn close(&self) {
        self.plane.health().expect("the plane is well");
        self.plane.close().await;
        assert!(self.serving.len() <= 1);
    }

    pub(crate) fn roots(&self) -> String {
        self.plane.authorities().unwrap().host.certificate().to_owned()
    }

    pub(crate) fn bearer(&self, user: &str, roles: &[&str]) -> Bearer {
        let authorities = self.plane.authorities().unwrap();
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let wanted = Wanted { user: user.to_owned(), roles, ttl: Duration::from_hours(1) };
        let identity = authorities.mint(System::start().now().wall, &wanted).unwrap();
        Bearer::of(&identity, &self.roots())
    }

    fn config(
        &self,
        bearer: Option<&Bearer>,
        alpn: &[&[u8]],
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let pem = bearer.map_or_else(|| self.roots(), |bearer| bearer.roots.clone());
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match bearer {
            Some(Bearer { chain, key, roots: _ }) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
        config
    }

    /// Raw TLS.
    pub(crate) async fn tls(
        &self,
        bearer: Option<&Bearer>,
        alpn: &[&[u8]],
        version: &'static SupportedProtocolVersion,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.dial(self.config(bearer, alpn, &[version]), "teleport.cluster.local").await
    }

    async fn dial(&self, config: ClientConfig, name: &str) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await
    }

    /// gRPC as an Auth Service's client dials it.
    pub(crate) async fn channel(&self, bearer: &Bearer) -> io::Result<Channel> {
        self.channel_to(bearer, "teleport.cluster.local", &[b"h2"]).await
    }

    pub(crate) async fn channel_to(
        &self,
        bearer: &Bearer,
        name: &str,
        alpn: &[&[u8]],
    ) -> io::Result<Channel> {
        let both = [&rustls::version::TLS13, &rustls::version::TLS12];
        let config = self.config(Some(bearer), alpn, &both);
        channel_on(self.dial(config, name).await?).await
    }

    /// gRPC without a certificate.
    pub(crate) async fn anonymous(&self) -> Channel {
        let stream = self.tls(None, &[b"h2"], &rustls::version::TLS13).await.unwrap();
        channel_on(stream).await.unwrap()
    }
}

/// A channel over one connection; it is not made anew when it breaks.
async fn channel_on(stream: TlsStream<TcpStream>) -> io::Result<Channel> {
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://teleport.cluster.local");
    endpoint.connect_with_connector(connector).await.map_err(io::Error::other)
}

pub(crate) async fn call(
    channel: &Channel,
    path: &'static str,
    body: &impl Message,
) -> Result<Bytes, tonic::Status> {
    raw(channel, path, body.encode_to_vec()).await
}

pub(crate) async fn raw(
    channel: &Channel,
    path: &'static str,
    body: Vec<u8>,
) -> Result<Bytes, tonic::Status> {
    let calling = async {
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        let request = tonic::Request::new(Bytes::from(body));
        Ok(grpc.unary(request, path, BytesCodec).await?.into_inner())
    };
    tokio::time::timeout(PATIENCE, calling).await.expect("an answer in time")
}

pub(crate) async fn watch(channel: &Channel, kind: &str) -> tonic::Streaming<Bytes> {
    let kind = types::WatchKind { kind: kind.to_owned(), ..Default::default() };
    let watch = proto::Watch { kinds: vec![kind], ..Default::default() };
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from(watch.encode_to_vec()));
    let path = PathAndQuery::from_static("/proto.AuthService/WatchEvents");
    grpc.server_streaming(request, path, BytesCodec).await.unwrap().into_inner()
}

pub(crate) async fn next(events: &mut tonic::Streaming<Bytes>) -> Option<proto::Operation> {
    let event = tokio::time::timeout(PATIENCE, events.message()).await.unwrap().unwrap();
    event.map(|bytes| proto::Event::decode(bytes).unwrap().r#type())
}

pub(crate) fn kube(name: &str) -> types::KubernetesClusterV3 {
    types::KubernetesClusterV3 {
        kind: "kube_cluster".to_owned(),
        metadata: Some(types::Metadata { name: name.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

/// Makes a role that may do everything: the preset `editor` may not change clusters.
pub(crate) async fn allow_everything(plane: &Plane) {
    let words = |word: &str| vec![word.to_owned()];
    let rule = types::Rule { resources: words("*"), verbs: words("*"), ..Default::default() };
    let all = wrappers::StringValues { values: words("*") };
    let labels = wrappers::LabelValues { values: [("*".to_owned(), all)].into() };
    let allow = types::RoleConditions {
        rules: vec![rule],
        kubernetes_labels: Some(labels),
        ..Default::default()
    };
    let role = types::RoleV6 {
        kind: "role".to_owned(),
        version: "v7".to_owned(),
        metadata: Some(types::Metadata { name: "everything".to_owned(), ..Default::default() }),
        spec: Some(types::RoleSpecV6 { allow: Some(allow), ..Default::default() }),
        ..Default::default()
    };
    let request = proto::UpsertRoleRequest { role: Some(role) }.encode_to_vec();
    plane.call(&Caller::admin(), UPSERT, &request).await.unwrap();
}

const UPSERT: &str = "/proto.AuthService/UpsertRoleV2";

pub(crate) fn named(name: &str) -> types::ResourceRequest {
    types::ResourceRequest { name: name.to_owned() }
}

/// Asks over HTTP/1.1 with a certificate: the status line's number and the body.
pub(crate) async fn http(port: &Port, bearer: &Bearer, asked: &str) -> (u16, serde_json::Value) {
    let alpn = [b"http/1.1".as_slice()];
    let mut stream = port.tls(Some(bearer), &alpn, &rustls::version::TLS13).await.unwrap();
    let request = format!("{asked} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    // The server may end the connection without TLS's goodbye.
    let _ended = read.await.expect("an answer in time").is_ok();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let number = head.split(' ').nth(1).expect("a status").parse().unwrap();
    (number, serde_json::from_str(body).unwrap())
}

/// A leaf joins the plane's cluster.
pub(crate) fn join(port: &Port, leaf: &str) {
    let now = System::start().now();
    // Nothing is kept on disk here.
    let _changes = port.plane.with_core(|core| core.join(now, leaf)).unwrap();
}

/// Conditions of a role: one rule.
pub(crate) fn rule(kinds: &[&str], verbs: &[&str]) -> types::RoleConditions {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let rule = types::Rule { resources: words(kinds), verbs: words(verbs), ..Default::default() };
    types::RoleConditions { rules: vec![rule], ..Default::default() }
}
