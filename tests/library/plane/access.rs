//! What roles allow, and labels reach.

use std::collections::BTreeMap;

use prost::Message as _;
use reconciler::plane::rules::labels;
use reconciler::plane::status::code;
use reconciler::plane::{Authority, Caller, Settings, Status};
use reconciler::wire::message::teleport::presence::v1 as presence;
use reconciler::wire::message::{programs, proto, types};

use super::support::{AUTH, World, allowing, caller, code, kube, label_values, named};

#[derive(serde::Deserialize)]
struct Selector {
    resources: Vec<BTreeMap<String, Vec<String>>>,
    labels: BTreeMap<String, String>,
    #[serde(rename = "match")]
    matches: bool,
}

#[test]
fn selectors_match_as_the_real_ones_do() {
    let text = include_str!("../../data/vectors/selectors.jsonl");
    let (mut yes, mut no) = (0, 0);
    for (number, line) in text.lines().enumerate() {
        let row: Selector = serde_json::from_str(line).unwrap();
        let selectors: Vec<_> = row.resources.iter().map(labels::Selector::new).collect();
        let got = labels::any_matches(&selectors, &row.labels);
        assert_eq!(got, row.matches, "line {}: {line}", number + 1);
        if got { yes += 1 } else { no += 1 }
    }
    assert!(yes > 300 && no > 300, "{yes} matches and {no} others are too few");
}

/// Where Go's dialect is another than that of the crate beneath.
#[test]
fn expressions_are_of_gos_dialect() {
    let rows = [
        ("^\\d+$", "42", true),
        ("^\\d+$", "٤٢", false),
        ("^\\w+$", "é", false),
        ("^[\\w-]+$", "a-b", true),
        ("^\\s$", "\u{b}", false),
        ("^a{,2}$", "a{,2}", true),
        ("^a{1,2}$", "aa", true),
        ("^a{$", "a{", true),
        ("^a{1001}$", &"a".repeat(1001), false),
        ("^\\Qa.b\\E.$", "a.bc", true),
        ("^\\Qa.b\\E.$", "axbc", false),
        ("^[a&&b]+$", "a&b", true),
        ("^[[]$", "[", true),
        ("^[[:alpha:]]+$", "abc", true),
        ("^\\101$", "A", true),
        ("^\\x{41}\\p{Greek}$", "Aα", true),
        ("^\\y$", "y", false),
        ("^(?=a)a$", "a", false),
        ("^(a)\\1$", "aa", false),
        ("^dev|prod$", "developer", true),
        ("^a**$", "aa", false),
        ("^a*?b??$", "aa", true),
        ("^(?x)a $", "a", false),
        ("^(?i)A$", "a", true),
        ("^(?P<n>a)(?:b)$", "ab", true),
        ("^\\<a>$", "<a>", true),
        ("^[$", "[", false),
        ("a*b", "a\nb", false),
        ("a.*", "axb", false),
        ("", "", true),
    ];
    for (value, text, expected) in rows {
        let selector = BTreeMap::from([("k".to_owned(), vec![value.to_owned()])]);
        let labels = BTreeMap::from([("k".to_owned(), text.to_owned())]);
        assert_eq!(
            labels::Selector::new(&selector).matches(&labels),
            expected,
            "{value} and {text}"
        );
    }
}

fn ask(world: &mut World, caller: &Caller, method: &str, body: &[u8]) -> Result<Vec<u8>, Status> {
    world.raw_as(caller, &format!("{AUTH}{method}"), body)
}

#[test]
fn callers_need_a_role_that_allows_it() {
    let mut world = World::new(Settings::default());
    let mut all = allowing("kubes", &["kube_cluster"], &["*"]);
    let labels = Some(label_values(&[("*", "*")]));
    all.spec.as_mut().unwrap().allow.as_mut().unwrap().kubernetes_labels = labels;
    world.put_role(all).unwrap();
    world.put_role(allowing("no-labels", &["*"], &["*"])).unwrap();
    let mut denying = allowing("denying", &[], &[]);
    let spec = denying.spec.as_mut().unwrap();
    spec.deny = allowing("", &["kube_cluster"], &["create"]).spec.unwrap().allow;
    spec.allow = None;
    world.put_role(denying).unwrap();
    let cluster = kube("k").encode_to_vec();
    let create = "CreateKubernetesCluster";
    let refused =
        [&[][..], &["auditor"], &["editor"], &["access"], &["no-labels"], &["kubes", "denying"]];
    for roles in refused {
        let result = ask(&mut world, &caller(roles), create, &cluster);
        assert_eq!(code(result), code::PERMISSION_DENIED, "{roles:?}");
    }
    ask(&mut world, &caller(&["kubes"]), create, &cluster).unwrap();
    ask(&mut world, &caller(&[]), "Ping", b"").unwrap();
    // A real 18.0.0 says this of every call, Ping included, when one of the roles was removed.
    for method in [create, "Ping", "GetClusterCACert"] {
        let gone = ask(&mut world, &caller(&["kubes", "gone"]), method, &cluster).unwrap_err();
        let text = "access denied\n\trole gone is not found";
        assert_eq!((gone.code, gone.message.as_str()), (code::NOT_FOUND, text), "{method}");
    }
    let seen = |world: &mut World, roles: &[&str]| {
        let body = ask(world, &caller(roles), "GetKubernetesClusters", b"").unwrap();
        let list = types::KubernetesClusterV3List::decode(body.as_slice()).unwrap();
        list.kubernetes_clusters.len()
    };
    assert_eq!((seen(&mut world, &["access"]), seen(&mut world, &["editor"])), (1, 0));
}

#[test]
fn deny_labels_hide_and_dynamic_labels_count() {
    let mut world = World::new(Settings::default());
    let mut role = allowing("r", &[], &[]);
    role.spec = Some(types::RoleSpecV6 {
        allow: Some(types::RoleConditions {
            kubernetes_labels: Some(label_values(&[("env", "^(dev|test)$")])),
            ..Default::default()
        }),
        deny: Some(types::RoleConditions {
            kubernetes_labels: Some(label_values(&[("hidden", "*")])),
            ..Default::default()
        }),
        ..Default::default()
    });
    world.put_role(role).unwrap();
    let mut make = |name: &str, labels: &[(&str, &str)], dynamic: &[(&str, &str)]| {
        let mut cluster = kube(name);
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        cluster.metadata.as_mut().unwrap().labels = labels.iter().map(own).collect();
        let label = |(key, result): &(&str, &str)| {
            let result = (*result).to_owned();
            ((*key).to_owned(), types::CommandLabelV2 { result, ..Default::default() })
        };
        cluster.spec.get_or_insert_default().dynamic_labels = dynamic.iter().map(label).collect();
        let _: () = world.call(&format!("{AUTH}CreateKubernetesCluster"), &cluster).unwrap();
        let body = named(name).encode_to_vec();
        ask(&mut world, &caller(&["r"]), "GetKubernetesCluster", &body).is_ok()
    };
    assert!(make("static", &[("env", "dev")], &[]));
    assert!(make("dynamic", &[], &[("env", "test")]));
    assert!(!make("other", &[("env", "prod")], &[]));
    assert!(!make("denied", &[("env", "dev"), ("hidden", "yes")], &[]));
}

#[test]
fn leaves_join_are_labelled_and_hidden() {
    let mut world = World::new(Settings::default());
    let (now, service) = (world.now, "/teleport.presence.v1.PresenceService/");
    let changes = world.core.join(now, "leaf.test");
    assert_eq!(changes.len(), 1);
    let get = presence::GetRemoteClusterRequest { name: "leaf.test".to_owned() };
    let path = format!("{service}GetRemoteCluster");
    let leaf: types::RemoteClusterV3 = world.call(&path, &get).unwrap();
    assert_eq!(leaf.status.as_ref().unwrap().connection, "online");
    world.raw_as(&caller(&[]), &path, &get.encode_to_vec()).unwrap();
    let mut sent = leaf.clone();
    let metadata = sent.metadata.as_mut().unwrap();
    metadata.labels.insert("env".to_owned(), "prod".to_owned());
    metadata.description = "not asked for".to_owned();
    let mut update = presence::UpdateRemoteClusterRequest {
        remote_cluster: Some(sent),
        update_mask: Some(prost_types::FieldMask { paths: vec!["Metadata.Labels".to_owned()] }),
    };
    let path_update = format!("{service}UpdateRemoteCluster");
    let updated: types::RemoteClusterV3 = world.call(&path_update, &update).unwrap();
    let metadata = updated.metadata.unwrap();
    assert_eq!((metadata.labels.len(), metadata.description.as_str()), (1, ""));
    assert_ne!(metadata.revision, leaf.metadata.unwrap().revision);
    // Labels hide it from those whose roles do not name them.
    let hidden = world.raw_as(&caller(&["editor"]), &path, &get.encode_to_vec());
    assert_eq!(hidden.unwrap_err(), Status::not_found("not found"));
    update.update_mask.as_mut().unwrap().paths = vec!["metadata.labels".to_owned()];
    let refused = world.call::<()>(&path_update, &update).unwrap_err();
    assert_eq!(refused.message, "unsupported field: \"metadata.labels\"");
    let delete = presence::DeleteRemoteClusterRequest { name: "leaf.test".to_owned() };
    let _: () = world.call(&format!("{service}DeleteRemoteCluster"), &delete).unwrap();
    assert_eq!(code(world.raw(&path, &get.encode_to_vec())), code::NOT_FOUND);
}

#[test]
fn authorities_are_shown_without_keys() {
    let host = Authority {
        tls: vec![b"one\n".to_vec(), b"two\n".to_vec()],
        ssh: vec![b"ssh-ed25519 x".to_vec()],
        ..Default::default()
    };
    let authorities = [("host".to_owned(), host)].into();
    let mut world = World::new(Settings { authorities, ..Default::default() });
    let answer = ask(&mut world, &caller(&[]), "GetClusterCACert", b"").unwrap();
    let answer = proto::GetClusterCaCertResponse::decode(answer.as_slice()).unwrap();
    assert_eq!(answer.tlsca, "one\ntwo\n");
    let mut list = |kind: &str, include_key| {
        let request = programs::GetCertAuthoritiesRequest { r#type: kind.to_owned(), include_key };
        let path = "/teleport.trust.v1.TrustService/GetCertAuthorities";
        let answer = world.raw_as(&caller(&[]), path, &request.encode_to_vec())?;
        let answer = programs::GetCertAuthoritiesResponse::decode(answer.as_slice()).unwrap();
        Ok::<_, Status>(answer.cert_authorities_v2)
    };
    let host = list("host", false).unwrap();
    let keys = host[0].spec.clone().unwrap().active_keys.unwrap();
    assert_eq!((host[0].sub_kind.as_str(), keys.tls.len(), keys.ssh.len()), ("host", 2, 1));
    assert!(list("user", false).unwrap().is_empty());
    assert_eq!(code(list("nonsense", false)), code::INVALID_ARGUMENT);
    assert_eq!(code(list("host", true)), code::PERMISSION_DENIED);
}

#[test]
fn semaphores_are_held_renewed_and_given_back() {
    let mut world = World::new(Settings::default());
    let at = |world: &World, seconds: i64| {
        Some(prost_types::Timestamp { seconds: world.now.wall.0 / 1000 + seconds, nanos: 0 })
    };
    let mut request = types::AcquireSemaphoreRequest {
        semaphore_kind: "lock".to_owned(),
        semaphore_name: "leader".to_owned(),
        max_leases: 1,
        expires: at(&world, 60),
        holder: "me".to_owned(),
    };
    let acquire = format!("{AUTH}AcquireSemaphore");
    let mut lease: types::SemaphoreLease = world.call(&acquire, &request).unwrap();
    let full = world.call::<()>(&acquire, &request).unwrap_err();
    assert_eq!(full.code, code::RESOURCE_EXHAUSTED);
    assert_eq!(full.message, "cannot acquire semaphore lock/leader (err-max-leases)");
    lease.expires = at(&world, 120);
    let keep = format!("{AUTH}KeepAliveSemaphoreLease");
    let _: () = world.call(&keep, &lease).unwrap();
    world.wait(std::time::Duration::from_secs(90));
    request.expires = at(&world, 60);
    assert_eq!(code(world.call::<()>(&acquire, &request)), code::RESOURCE_EXHAUSTED);
    let filter = types::SemaphoreFilter { semaphore_kind: "lock".to_owned(), ..Default::default() };
    let list = format!("{AUTH}GetSemaphores");
    let all: proto::Semaphores = world.call(&list, &filter).unwrap();
    assert_eq!(all.semaphores[0].spec.as_ref().unwrap().leases[0].holder, "me");
    let _: () = world.call(&format!("{AUTH}CancelSemaphoreLease"), &lease).unwrap();
    assert_eq!(code(world.call::<()>(&keep, &lease)), code::NOT_FOUND);
    let _: types::SemaphoreLease = world.call(&acquire, &request).unwrap();
    // When every lease is over, so is the semaphore.
    world.wait(std::time::Duration::from_secs(121));
    assert!(world.call::<proto::Semaphores>(&list, &filter).unwrap().semaphores.is_empty());
    let past = types::AcquireSemaphoreRequest { expires: at(&world, -1), ..request };
    assert_eq!(code(world.call::<()>(&acquire, &past)), code::INVALID_ARGUMENT);
}
