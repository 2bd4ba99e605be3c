//! A cluster that is there and may not be seen.

use std::fs;
use std::thread;
use std::time::Duration;

use super::client::{called, place};
use super::{cluster, registered};
use crate::common::until;
use crate::served::Served;

/// May do everything with clusters of development, and sees no other.
const LIMITED: &str = "kind: role\nversion: v7\nmetadata: {name: limited}\nspec:\n  allow:\n    \
    kubernetes_labels: {env: dev}\n    rules:\n      - {resources: [kube_cluster], verbs: \
    [list, create, read, update, delete]}\n      - {resources: [role], verbs: [list, read]}\n";

#[test]
fn a_hidden_cluster_is_reported_and_not_looped_on() {
    let mut served = Served::start();
    let dir = served.dir.path().join("roles");
    fs::write(dir.join("limited.yaml"), LIMITED).unwrap();
    fs::write(dir.join("zz-hidden.yaml"), cluster("hidden", "{env: prod}")).unwrap();
    served.restart(&["--load", "roles"]);

    let limited = place(&served, "limited", "limited", None, "");
    let other = place(&served, "other", "everything", None, "");
    limited.put("hidden.yaml", &cluster("hidden", "{env: dev}"));
    limited.put("seen.yaml", &cluster("seen", "{env: dev}"));
    // Fingerprints differ from one installation to the next.
    let stored = || {
        let text = registered(&other, "hidden").unwrap();
        text.lines().filter(|line| !line.contains("kubeconfig")).collect::<Vec<_>>().join("\n")
    };
    let before = stored();
    assert!(before.contains("env: prod") && before.contains("revision: "), "{before}");
    let loaded = called(&served, "CreateKubernetesCluster");

    let agent = limited.agent();
    until("the other one is registered", &agent, || registered(&limited, "seen").is_some());
    let reported = "it exists but is hidden from this identity; widen `kubernetes_labels`";
    until("it is reported", &agent, || {
        let status = limited.ok(&["status"]);
        status
            .lines()
            .any(|line| line.starts_with("kube_cluster/hidden") && line.contains(reported))
    });
    // An edit of another file plans anew, and tries this one no sooner.
    limited.put("seen.yaml", &cluster("seen", "{env: dev, team: a}"));
    until("the other one is changed", &agent, || {
        registered(&limited, "seen").is_some_and(|text| text.contains("team: a"))
    });
    thread::sleep(Duration::from_secs(5));
    let creates = called(&served, "CreateKubernetesCluster") - loaded;
    assert_eq!(creates, 2, "one for each, and none again:\n{}", agent.log());
    // The one that found it hidden, and those beside the update.
    assert!(agent.log().matches("call /proto.AuthService/GetKubernetesCluster").count() <= 3);
    assert_eq!(agent.log().matches(reported).count(), 1, "said once:\n{}", agent.log());
    assert_eq!(stored(), before, "it was touched");
    assert!(agent.interrupt().success());
}
