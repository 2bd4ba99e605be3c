//! `kube ls` and what plans say of it, with the built binary: over the embedded plane in an agent,
//! without one, and over mutual TLS.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;

use crate::common::{Place, until};
use crate::labels_walk::cluster;
use crate::served::Served;
use serde_json::{Value, json};

const SERVICES: &str = "
[[kubernetes.service]]
name = \"east\"
resources = [{ labels = { env = \"prod\", region = \"us-east-*\" } }]
[[kubernetes.service]]
name = \"west\"
resources = [{ labels = { region = \"us-west-1\" } }]
";

fn data(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn clusters_come_and_go_with_their_labels() {
    let place = Place::new(SERVICES);
    place.put("mine.yaml", &cluster("mine", "{env: prod, region: us-east-2}"));
    place.put("nobodys.yaml", &cluster("nobodys", "{env: dev}"));
    let planned = place.ok(&["--dry-run"]);
    for line in ["mine → served by east", "nobodys → no service will pick this up"] {
        assert!(planned.contains(line), "{line}\n{planned}");
    }
    let comment = place.ok(&["plan", "--format", "markdown"]);
    assert!(comment.contains("- mine → served by east"), "{comment}");
    let serving = &data(&place.ok(&["plan", "--format", "json"]))["serving"];
    let expected = json!({
        "name": "mine", "fact": "served_by", "warning": false, "services": ["east"],
    });
    assert_eq!(serving[0], expected, "{serving}");

    let agent = place.agent();
    let listed = || place.ok(&["kube", "ls", "-q"]);
    until("it is served", &agent, || listed() == "mine env=prod,region=us-east-2 \n\n");
    until("the other one is registered", &agent, || place.live("kube_cluster/nobodys").is_some());
    let text = place.ok(&["kube", "ls"]);
    let expected = "\
Kube Cluster Name Labels                    Selected \n\
----------------- ------------------------- -------- \n\
mine              env=prod,region=us-east-2          \n\
\n\
Not Served Reason\n\
---------- --------------------------------\n\
nobodys    no configured service selects it\n";
    assert_eq!(text, expected);
    let list = data(&place.ok(&["kube", "ls", "--format", "json"]));
    assert_eq!(list[0]["kube_cluster_name"], "mine");
    assert_eq!(list[0]["labels"]["teleport.dev/origin"], "dynamic", "nothing is hidden in data");
    assert_eq!(list[0]["selected"], false);
    let yaml = place.ok(&["kube", "ls", "--format", "yaml"]);
    assert!(yaml.starts_with("- kube_cluster_name: mine\n  labels:\n    env: prod\n"), "{yaml}");

    // An edit moves it, another takes it out.
    place.put("mine.yaml", &cluster("mine", "{env: prod, region: us-west-1}"));
    until("it has moved", &agent, || listed().contains("us-west-1"));
    place.put("mine.yaml", &cluster("mine", "{env: prod}"));
    until("nobody serves it", &agent, || listed() == "\n");
    let left = data(&place.ok(&["kube", "ls", "--unserved", "--format", "json"]));
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");
    assert_eq!(left[0]["kube_cluster_name"], "mine");
    assert_eq!(left[0]["listed"], false);

    assert!(
        place.ok(&["status"]).contains("no service serves mine: no configured service selects it")
    );

    // Back again, and without an agent.
    place.put("mine.yaml", &cluster("mine", "{env: prod, region: us-east-1}"));
    until("it is back", &agent, || listed().contains("us-east-1"));
    assert_eq!(place.ok(&["plane", "services"]), "east: serves 1\nwest: serves 0\n");
    agent.kill();
    assert!(listed().contains("us-east-1"), "without an agent");
    place.put("mine.yaml", &cluster("mine", "{region: us-west-1}"));
    let planned = place.ok(&["--dry-run"]);
    for line in ["mine → served by west", "mine → this unregisters it from east"] {
        assert!(planned.contains(line), "{line}\n{planned}");
    }
}

#[test]
fn over_mutual_tls_and_what_may_not_be_read_is_unknown() {
    let mut served = Served::start();
    let dir = served.dir.path().to_owned();
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    write("reconciler.toml", &format!("[control_plane]\nkind = \"embedded\"\n{SERVICES}"));
    let blind = "kind: role\nversion: v7\nmetadata: {name: blind}\nspec:\n  allow:\n    \
                 kubernetes_labels: {'*': '*'}\n  deny:\n    \
                 rules: [{resources: [kube_server], verbs: [list, read]}]\n";
    write("roles/blind.yaml", blind);
    write("roles/mine.yaml", &cluster("mine", "{region: us-west-1}"));
    write("roles/nobodys.yaml", &cluster("nobodys", "{env: dev}"));
    served.restart(&["--load", "roles"]);
    let run = |user: &str| {
        let args = ["plane", "identity", "--state", "state.db", "--user", user, "--roles", user];
        let minted = served.command(&args).args(["-o", user]).output().unwrap();
        assert!(minted.status.success(), "{minted:?}");
        let config = format!(
            "[agent]\nname = \"client\"\n[control_plane]\nkind = \"teleport\"\naddress = \
             \"{}\"\nidentity_file = \"{user}\"\n[state]\npath = \"client/state.db\"\n{SERVICES}",
            served.address
        );
        write("client.toml", &config);
        let ask = |more: &[&str]| {
            let args = ["--config", "client.toml", "kube", "ls"];
            let output = served.command(&args).args(more).output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        };
        (ask(&["-q"]), ask(&["--unserved"]))
    };
    let ((code, list, remarks), (_, left, _)) = run("everything");
    assert_eq!((code, list.as_str()), (Some(0), "mine region=us-west-1 \n\n"), "{remarks}");
    assert!(remarks.contains("no service serves nobodys: no configured service"), "{remarks}");
    assert!(left.contains("nobodys") && !left.contains("mine"), "{left}");

    let ((code, list, remarks), (_, left, _)) = run("blind");
    assert_eq!((code, list.as_str()), (Some(1), ""));
    assert!(remarks.contains("what is served may not be read"), "{remarks}");
    for name in ["mine", "nobodys"] {
        let line = left.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains("unknown: what is served may not be read"), "{left}");
    }
}
