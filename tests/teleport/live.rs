//! Somebody else's hands on the same cluster: our own calls, past the agent.

#![allow(unreachable_pub, reason = "a module of a test")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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

pub struct Live {
    runtime: Runtime,
    remote: Remote<Link>,
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

    fn call(&self, path: &'static str, request: &impl Message) -> Result<Bytes, CallError> {
        let body = Bytes::from(request.encode_to_vec());
        self.runtime.block_on(self.remote.call(path, body, PATIENCE))
    }

    /// `None`: the server says that there is none.
    fn found(answer: Result<Bytes, CallError>) -> Option<Bytes> {
        match answer {
            Ok(answer) => Some(answer),
            Err(CallError { code: CallCode::NotFound, message: _ }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn kube(&self) -> Option<message::types::KubernetesClusterV3> {
        let request = message::types::ResourceRequest { name: NAME.to_owned() };
        let answer = Self::found(self.call("/proto.AuthService/GetKubernetesCluster", &request))?;
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

    pub fn role_exists(&self) -> bool {
        let request = message::proto::GetRoleRequest { name: NAME.to_owned() };
        Self::found(self.call("/proto.AuthService/GetRole", &request)).is_some()
    }

    pub fn remove_role(&self) {
        let request = message::proto::DeleteRoleRequest { name: NAME.to_owned() };
        Self::found(self.call("/proto.AuthService/DeleteRole", &request));
    }

    /// Of a walk that was broken off.
    pub fn remove_leftovers(&self) {
        let request = message::types::ResourceRequest { name: NAME.to_owned() };
        Self::found(self.call("/proto.AuthService/DeleteKubernetesCluster", &request));
        self.remove_role();
    }
}
