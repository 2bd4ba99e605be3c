//! Somebody else's hands on the same cluster: our own calls, past the agent.

#![allow(unreachable_pub, reason = "a module of a test")]
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::teleport::{HttpProxy, Link, Settings, Source, Teleport, outer_roots};
use reconciler::port::{CallCode, CallError, Cluster as _};
use reconciler::wire::message;
use tokio::runtime::Runtime;

use crate::Server;

const NAME: &str = "reconciler-walk";
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest time that a server takes to start anew.
const RESTART: Duration = Duration::from_mins(1);

pub const DELETE_KUBE: &str = "/proto.AuthService/DeleteKubernetesCluster";

/// The calls of a kind whose request holds nothing but the name, in field 1.
pub struct Named {
    pub get: &'static str,
    pub delete: &'static str,
}

pub const ROLE: Named =
    Named { get: "/proto.AuthService/GetRole", delete: "/proto.AuthService/DeleteRole" };
pub const USER: Named = Named {
    get: "/teleport.users.v1.UsersService/GetUser",
    delete: "/teleport.users.v1.UsersService/DeleteUser",
};
pub const TOKEN: Named =
    Named { get: "/proto.AuthService/GetToken", delete: "/proto.AuthService/DeleteToken" };
pub const BOT: Named = Named {
    get: "/teleport.machineid.v1.BotService/GetBot",
    delete: "/teleport.machineid.v1.BotService/DeleteBot",
};

pub struct Live {
    pub runtime: Runtime,
    pub remote: Remote<Link>,
}

impl Live {
    pub fn connect(address: &str, identity: &Path, server: &Server) -> Self {
        let settings = Settings {
            address: address.parse().unwrap(),
            source: Source::File(identity.to_owned()),
            roots: Arc::new(outer_roots(server.ca_file.as_deref().map(Path::new)).unwrap()),
            proxy: HttpProxy::default(),
            upgrade: None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let remote = {
            let _inside = runtime.enter();
            Remote::new(Teleport::open(settings).unwrap().link())
        };
        Self { runtime, remote }
    }

    /// Waits for a server that is being started anew. These calls may be sent twice.
    fn call(&self, path: &'static str, request: &impl Message) -> Result<Bytes, CallError> {
        let started = Instant::now();
        loop {
            let body = Bytes::from(request.encode_to_vec());
            let answer = self.runtime.block_on(self.remote.call(path, body, PATIENCE));
            let is_away = matches!(
                &answer,
                Err(CallError { code: CallCode::Unavailable | CallCode::NoAnswer, message: _ })
            );
            if !is_away || started.elapsed() > RESTART {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// `None`: the server says that there is none.
    fn found(answer: Result<Bytes, CallError>) -> Option<Bytes> {
        match answer {
            Ok(answer) => Some(answer),
            Err(CallError { code: CallCode::NotFound, message: _ }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn named(&self, path: &'static str, name: &str) -> Option<Bytes> {
        Self::found(self.call(path, &message::types::ResourceRequest { name: name.to_owned() }))
    }

    fn kube(&self) -> Option<message::types::KubernetesClusterV3> {
        let answer = self.named("/proto.AuthService/GetKubernetesCluster", NAME)?;
        Some(Message::decode(answer).unwrap())
    }

    pub fn label(&self, key: &str) -> Option<String> {
        self.kube()?.metadata?.labels.get(key).cloned()
    }

    pub fn revision(&self) -> Option<String> {
        Some(self.kube()?.metadata?.revision)
    }

    pub fn set_label(&self, key: &str, value: &str) {
        let mut kube = self.kube().unwrap();
        let labels = &mut kube.metadata.as_mut().unwrap().labels;
        labels.insert(key.to_owned(), value.to_owned());
        self.call("/proto.AuthService/UpdateKubernetesCluster", &kube).unwrap();
    }

    pub fn exists(&self, kind: &Named) -> bool {
        self.named(kind.get, NAME).is_some()
    }

    /// Whether its bytes hold `text`.
    pub fn holds(&self, kind: &Named, text: &str) -> bool {
        let bytes = self.named(kind.get, NAME).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    pub fn remove(&self, kind: &Named) {
        self.named(kind.delete, NAME);
    }

    pub fn remove_kube(&self, name: &str) {
        self.named(DELETE_KUBE, name);
    }

    /// Of a walk that was broken off. The user goes before its role.
    pub fn remove_leftovers(&self) {
        self.remove_kube(NAME);
        for kind in [USER, TOKEN, BOT, ROLE] {
            self.remove(&kind);
        }
    }
}
