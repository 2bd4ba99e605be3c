//! `kube_cluster`: validation, defaults and calls.
//!
//! Updates do not compare revisions: the last writer wins, as on the real server.

use std::collections::BTreeMap;

use prost::Message as _;

use super::access::{Reach, kube_denied};
use super::metadata::{self, ORIGIN, label_key, quoted};
use super::{Events, Expiry, NAMESPACE, Rules, Tx, decode, empty, page, read, write};
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::proto::event::Resource;
use crate::wire::message::{proto, types};

pub(in crate::plane) const KIND: &str = "kube_cluster";
const VERSION: &str = "v3";

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/GetKubernetesClusters", list),
        read("/proto.AuthService/ListKubernetesClusters", list_page),
        read("/proto.AuthService/GetKubernetesCluster", get),
        write("/proto.AuthService/CreateKubernetesCluster", create),
        write("/proto.AuthService/UpdateKubernetesCluster", update),
        write("/proto.AuthService/DeleteKubernetesCluster", delete),
    ],
    events: Some(Events {
        version: VERSION,
        put: |item| load(item).ok().map(Resource::KubernetesCluster),
    }),
    expire: None,
};

pub(super) fn load(item: &Item) -> Result<types::KubernetesClusterV3, Status> {
    let mut cluster: types::KubernetesClusterV3 = decode(&item.value)?;
    cluster.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(cluster)
}

fn missing(name: &str) -> Status {
    Status::not_found(format!("\"kube_cluster\" {} does not exist", quoted(name)))
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: types::ResourceRequest = decode(body)?;
    tx.allow(KIND, "read")?;
    let item = tx.cached(KIND, &request.name).ok_or_else(|| missing(&request.name))?;
    let cluster = load(item)?;
    Reach::of_kube(tx).check_kube(&cluster)?;
    Ok(cluster.encode_to_vec())
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    tx.allow_all(KIND, &["list", "read"])?;
    let items = tx.store.list(View::Cache, KIND, "", tx.now);
    let mut kubernetes_clusters =
        items.map(|(_, item)| load(item)).collect::<Result<Vec<_>, _>>()?;
    let reach = Reach::of_kube(tx);
    kubernetes_clusters.retain(|cluster| reach.kube(cluster));
    Ok(types::KubernetesClusterV3List { kubernetes_clusters }.encode_to_vec())
}

/// Newer than 18.0.0; the sizes are those of the other paged lists.
fn list_page(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::ListKubernetesClustersRequest = decode(body)?;
    tx.allow_all(KIND, &["list", "read"])?;
    let items = tx.store.list(View::Cache, KIND, &request.page_token, tx.now);
    let reach = Reach::of_kube(tx);
    let reached = items.filter_map(|(name, item)| {
        let cluster = load(item).ok().filter(|cluster| reach.kube(cluster))?;
        Some((name.to_owned(), cluster))
    });
    let (kubernetes_clusters, next_page_token) = page::cut(reached, page::size(request.page_size));
    Ok(proto::ListKubernetesClustersResponse { kubernetes_clusters, next_page_token }
        .encode_to_vec())
}

fn create(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let mut cluster: types::KubernetesClusterV3 = decode(body)?;
    tx.allow(KIND, "create")?;
    check_access(tx, &cluster)?;
    check(&mut cluster)?;
    let name = name_of(&cluster);
    if tx.stored(KIND, &name).is_some() {
        return Err(Status::exists(format!("kubernetes cluster {} already exists", quoted(&name))));
    }
    put(tx, &name, &cluster);
    Ok(empty())
}

fn update(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let mut cluster: types::KubernetesClusterV3 = decode(body)?;
    tx.allow(KIND, "update")?;
    let name = name_of(&cluster);
    let existing = load(tx.cached(KIND, &name).ok_or_else(|| missing(&name))?)?;
    Reach::of_kube(tx).check_kube(&existing)?;
    check_access(tx, &cluster)?;
    check(&mut cluster)?;
    if tx.stored(KIND, &name).is_none() {
        return Err(Status::not_found(format!(
            "kubernetes cluster {} doesn't exist",
            quoted(&name)
        )));
    }
    put(tx, &name, &cluster);
    Ok(empty())
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: types::ResourceRequest = decode(body)?;
    tx.allow(KIND, "delete")?;
    let item = tx.cached(KIND, &request.name).ok_or_else(|| missing(&request.name))?;
    Reach::of_kube(tx).check_kube(&load(item)?)?;
    if tx.stored(KIND, &request.name).is_none() {
        return Err(missing(&request.name));
    }
    tx.remove(KIND, &request.name);
    Ok(empty())
}

fn put(tx: &mut Tx<'_>, name: &str, cluster: &types::KubernetesClusterV3) {
    let expires = cluster.metadata.as_ref().and_then(|metadata| metadata.expires.as_ref());
    let expiry = Expiry::of(expires);
    tx.put(KIND, name, cluster, expiry);
}

fn name_of(cluster: &types::KubernetesClusterV3) -> String {
    cluster.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default()
}

/// What the access check trips over before any default is set.
fn check_access(tx: &Tx<'_>, cluster: &types::KubernetesClusterV3) -> Result<(), Status> {
    if cluster.kind.is_empty() {
        return Err(Status::invalid("can't get label matchers for resource kind \"\""));
    }
    let namespace = cluster.metadata.as_ref().map_or("", |metadata| metadata.namespace.as_str());
    if !namespace.is_empty() && namespace != NAMESPACE {
        return Err(kube_denied());
    }
    Reach::of_kube(tx).check_kube(cluster)
}

/// Sets the defaults of a cluster that a call makes, and refuses what cannot be.
fn check(cluster: &mut types::KubernetesClusterV3) -> Result<(), Status> {
    check_whole(cluster)?;
    let metadata = cluster.metadata.get_or_insert_default();
    metadata.revision.clear();
    let origin = metadata.labels.entry(ORIGIN.to_owned()).or_default();
    if origin.is_empty() {
        "dynamic".clone_into(origin);
    }
    Ok(())
}

/// Sets the defaults of any cluster, static ones too, and refuses what cannot be.
pub(super) fn check_whole(cluster: &mut types::KubernetesClusterV3) -> Result<(), Status> {
    KIND.clone_into(&mut cluster.kind);
    VERSION.clone_into(&mut cluster.version);
    let metadata = cluster.metadata.get_or_insert_default();
    metadata::check(metadata)?;
    let name = &metadata.name;
    let spec = cluster.spec.get_or_insert_default();
    for key in spec.dynamic_labels.keys() {
        if !label_key(key) {
            return Err(Status::invalid(format!(
                "kubernetes cluster {} invalid label key: \"{key}\"",
                quoted(name)
            )));
        }
    }
    if !name.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it)) {
        return Err(Status::invalid(format!(
            "invalid kubernetes cluster name\n\t{} does not match regex used for validation \
             \"^[a-zA-Z0-9._-]+$\"",
            quoted(name)
        )));
    }
    metadata::check_backend_key(&format!("/kubernetes/{name}"), name)?;
    check_credentials(spec)
}

/// All labels: its own, over them the stored results of its commands.
pub(super) fn all_labels(cluster: &types::KubernetesClusterV3) -> BTreeMap<String, String> {
    let mut all = cluster.metadata.clone().unwrap_or_default().labels;
    let dynamic = cluster.spec.iter().flat_map(|spec| &spec.dynamic_labels);
    all.extend(dynamic.map(|(key, label)| (key.clone(), label.result.clone())));
    all
}

/// Whether there is any way in.
pub(super) fn has_credentials(cluster: &types::KubernetesClusterV3) -> bool {
    cluster.spec.as_ref().is_some_and(|spec| {
        !spec.kubeconfig.is_empty()
            || spec.azure.as_ref().is_some_and(|it| *it != types::KubeAzure::default())
            || spec.aws.as_ref().is_some_and(|it| *it != types::KubeAws::default())
            || spec.gcp.as_ref().is_some_and(|it| *it != types::KubeGcp::default())
    })
}

fn check_credentials(spec: &mut types::KubernetesClusterSpecV3) -> Result<(), Status> {
    let azure = spec.azure.get_or_insert_default();
    if *azure != types::KubeAzure::default() {
        required("Azure ResourceGroup", &azure.resource_group)?;
        required("Azure ResourceName", &azure.resource_name)?;
        required("Azure SubscriptionID", &azure.subscription_id)?;
    }
    let aws = spec.aws.get_or_insert_default();
    if *aws != types::KubeAws::default() {
        required("AWS Region", &aws.region)?;
        required("AWS Name", &aws.name)?;
        required("AWS AccountID", &aws.account_id)?;
    }
    let gcp = spec.gcp.get_or_insert_default();
    if *gcp != types::KubeGcp::default() {
        required("GCP Location", &gcp.location)?;
        required("GCP ProjectID", &gcp.project_id)?;
        required("GCP Name", &gcp.name)?;
    }
    Ok(())
}

fn required(what: &str, value: &str) -> Result<(), Status> {
    if value.is_empty() { Err(Status::invalid(format!("invalid {what}"))) } else { Ok(()) }
}
