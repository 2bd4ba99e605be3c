//! A core with a clock that the test turns.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message;
use reconciler::model::{Now, Timestamp};
use reconciler::plane::status::code;
use reconciler::plane::{Caller, Change, Core, Item, Key, Settings, Status};
use reconciler::wire::message::teleport::header::v1 as header;
use reconciler::wire::message::teleport::users::v1 as users;
use reconciler::wire::message::teleport::workloadcluster::v1 as workload;
use reconciler::wire::message::{proto, types, wrappers};

/// Milliseconds of the recordings' own day: `<now>` in them.
pub const WALL: i64 = 1_795_259_968_000;

pub const AUTH: &str = "/proto.AuthService/";
pub const USERS: &str = "/teleport.users.v1.UsersService/";
pub const TRUST: &str = "/teleport.trust.v1.TrustService/";
pub const WORKLOAD: &str = "/teleport.workloadcluster.v1.WorkloadClusterService/";

pub struct World {
    pub core: Core,
    pub now: Now,
    pub changes: Vec<Change>,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        Self::over(settings, Vec::new())
    }

    pub fn over(settings: Settings, stored: Vec<(Key, Item)>) -> Self {
        let now = Now { monotonic: Duration::ZERO, wall: Timestamp(WALL) };
        let (core, changes) = Core::open(settings, now, stored);
        Self { core, now, changes }
    }

    pub fn wait(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall = self.now.wall.plus(time);
    }

    pub fn raw(&mut self, path: &str, body: &[u8]) -> Result<Vec<u8>, Status> {
        self.raw_as(&Caller::admin(), path, body)
    }

    pub fn raw_as(&mut self, caller: &Caller, path: &str, body: &[u8]) -> Result<Vec<u8>, Status> {
        let answer = self.core.call(self.now, caller, path, body);
        self.changes.extend(answer.changes);
        answer.result
    }

    /// What a disk would hold now.
    pub fn stored(&self) -> BTreeMap<Key, Item> {
        let mut stored = BTreeMap::new();
        for change in &self.changes {
            match change.after.clone() {
                Some(item) => stored.insert(change.key.clone(), item),
                None => stored.remove(&change.key),
            };
        }
        stored
    }

    /// The plane after a crash: only what was handed out to be persisted is left.
    pub fn crash(&mut self) {
        let stored = self.stored();
        let (core, changes) = Core::open(self.core.settings().clone(), self.now, stored);
        self.core = core;
        self.changes.extend(changes);
    }

    pub fn call<A: Message + Default>(
        &mut self,
        path: &str,
        body: &impl Message,
    ) -> Result<A, Status> {
        self.raw(path, &body.encode_to_vec()).map(|bytes| A::decode(bytes.as_slice()).unwrap())
    }

    pub fn kube(&mut self, method: &str, name: &str) -> Result<(), Status> {
        self.call(&format!("{AUTH}{method}"), &kube(name))
    }

    pub fn get_kube(&mut self, name: &str) -> Result<types::KubernetesClusterV3, Status> {
        self.call(&format!("{AUTH}GetKubernetesCluster"), &named(name))
    }

    pub fn list_kubes(&mut self) -> Vec<String> {
        let list: types::KubernetesClusterV3List =
            self.call(&format!("{AUTH}GetKubernetesClusters"), &()).unwrap();
        list.kubernetes_clusters.into_iter().map(|it| it.metadata.unwrap().name).collect()
    }

    pub fn create_user(&mut self, user: types::UserV2) -> Result<types::UserV2, Status> {
        let request = users::CreateUserRequest { user: Some(user) };
        let answer: users::CreateUserResponse =
            self.call(&format!("{USERS}CreateUser"), &request)?;
        Ok(answer.user.unwrap())
    }

    pub fn put_role(&mut self, role: types::RoleV6) -> Result<types::RoleV6, Status> {
        self.call(&format!("{AUTH}UpsertRoleV2"), &proto::UpsertRoleRequest { role: Some(role) })
    }

    pub fn create_role(&mut self, name: &str) -> Result<types::RoleV6, Status> {
        let request = proto::CreateRoleRequest { role: Some(role(name)) };
        self.call(&format!("{AUTH}CreateRole"), &request)
    }
}

pub fn caller(roles: &[&str]) -> Caller {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Caller { name: "somebody".to_owned(), roles, admin: false }
}

/// A role that allows these verbs on these kinds.
pub fn allowing(name: &str, kinds: &[&str], verbs: &[&str]) -> types::RoleV6 {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let rule = types::Rule { resources: words(kinds), verbs: words(verbs), ..Default::default() };
    let allow = types::RoleConditions { rules: vec![rule], ..Default::default() };
    types::RoleV6 {
        spec: Some(types::RoleSpecV6 { allow: Some(allow), ..Default::default() }),
        ..role(name)
    }
}

pub fn label_values(pairs: &[(&str, &str)]) -> wrappers::LabelValues {
    let value = |value: &str| wrappers::StringValues { values: vec![value.to_owned()] };
    let values = pairs.iter().map(|(key, it)| ((*key).to_owned(), value(it))).collect();
    wrappers::LabelValues { values }
}

pub fn user(name: &str, roles: &[&str]) -> types::UserV2 {
    types::UserV2 {
        metadata: Some(types::Metadata { name: name.to_owned(), ..Default::default() }),
        spec: Some(types::UserSpecV2 {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn named(name: &str) -> types::ResourceRequest {
    types::ResourceRequest { name: name.to_owned() }
}

pub fn kube(name: &str) -> types::KubernetesClusterV3 {
    types::KubernetesClusterV3 {
        kind: "kube_cluster".to_owned(),
        metadata: Some(types::Metadata { name: name.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

pub fn role(name: &str) -> types::RoleV6 {
    types::RoleV6 {
        kind: "role".to_owned(),
        version: "v8".to_owned(),
        metadata: Some(types::Metadata { name: name.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

pub fn trusted(name: &str) -> types::TrustedClusterV2 {
    types::TrustedClusterV2 {
        kind: "trusted_cluster".to_owned(),
        metadata: Some(types::Metadata { name: name.to_owned(), ..Default::default() }),
        spec: Some(types::TrustedClusterSpecV2 {
            enabled: true,
            token: "secret".to_owned(),
            proxy_address: "root.example.com:443".to_owned(),
            role_map: vec![types::RoleMapping {
                remote: "access".to_owned(),
                local: vec!["access".to_owned()],
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn workload_cluster(name: &str) -> workload::WorkloadCluster {
    workload::WorkloadCluster {
        kind: "workload_cluster".to_owned(),
        version: "v1".to_owned(),
        metadata: Some(header::Metadata { name: name.to_owned(), ..Default::default() }),
        spec: Some(workload::WorkloadClusterSpec {
            regions: vec![workload::Region { name: "us-west-2".to_owned() }],
            bot: Some(workload::Bot { name: "example-iam".to_owned() }),
            token: Some(workload::Token {
                join_method: "iam".to_owned(),
                allow: vec![workload::Allow {
                    aws_account: "account".to_owned(),
                    aws_arn: "arn".to_owned(),
                }],
            }),
        }),
        ..Default::default()
    }
}

pub fn code_named(name: &str) -> i32 {
    match name {
        "OK" => 0,
        "Unknown" => code::UNKNOWN,
        "InvalidArgument" => code::INVALID_ARGUMENT,
        "NotFound" => code::NOT_FOUND,
        "AlreadyExists" => code::ALREADY_EXISTS,
        "PermissionDenied" => code::PERMISSION_DENIED,
        "ResourceExhausted" => code::RESOURCE_EXHAUSTED,
        "FailedPrecondition" => code::FAILED_PRECONDITION,
        "Unimplemented" => code::UNIMPLEMENTED,
        "Unavailable" => code::UNAVAILABLE,
        other => panic!("no such code: {other}"),
    }
}

pub fn code<T: std::fmt::Debug>(result: Result<T, Status>) -> i32 {
    result.unwrap_err().code
}
