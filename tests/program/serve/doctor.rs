//! `doctor` against a served plane: what roles allow, and which of them deny.

use std::fs;

use crate::served::Served;

const ROLES: &str = "\
kind: role
version: v7
metadata: {name: hides}
spec: {deny: {kubernetes_labels: {env: secret}}}
---
kind: role
version: v7
metadata: {name: denies}
spec: {deny: {rules: [{resources: [user], verbs: ['*']}, {resources: [role], verbs: [delete]}]}}
---
kind: role
version: v7
metadata: {name: reads}
spec: {allow: {kubernetes_labels: {'*': '*'}, rules: [{resources: ['*'], verbs: [list, read]}]}}
";

/// Exit code and text of `doctor` for an identity with these roles; a role is in use.
fn doctor(served: &Served, roles: &str) -> (Option<i32>, String) {
    let dir = served.dir.path();
    let identity = served.identity("agent", roles).display().to_string();
    let config = format!(
        "[agent]\nname = \"edge\"\n[source]\npath = \"desired\"\n[control_plane]\nkind = \
         \"teleport\"\naddress = {:?}\nidentity_file = {identity:?}\n[state]\npath = \
         \"agent/state.db\"\n",
        served.address
    );
    fs::write(dir.join("agent.toml"), config).unwrap();
    fs::create_dir_all(dir.join("desired")).unwrap();
    let kube = "kind: kube_cluster\nversion: v3\nmetadata: {name: k}\nspec: {}\n---\n";
    let role = "kind: role\nversion: v7\nmetadata: {name: r}\nspec: {}\n";
    fs::write(dir.join("desired/all.yaml"), format!("{kube}{role}")).unwrap();
    let output = served.run(&["--config", "agent.toml", "doctor"]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn it_says_what_is_allowed_and_who_denies() {
    let mut served = Served::start();
    fs::create_dir(served.dir.path().join("more")).unwrap();
    fs::write(served.dir.path().join("more/roles.yaml"), ROLES).unwrap();
    served.restart(&["--load", "more"]);

    let (code, said) = doctor(&served, "everything");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("role              allowed: list, read, create, update, delete"),
        "{said}"
    );
    assert!(said.contains("No problems found"), "{said}");

    // Labels that are denied hide clusters, whatever else is allowed.
    let (code, said) = doctor(&served, "everything,hides");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("role `hides`, spec.deny.kubernetes_labels: {env: [secret]}"), "{said}");
    assert!(!said.contains("create this role"), "nothing would help: {said}");

    // A role that allows cannot help against one that denies.
    let (code, said) = doctor(&served, "everything,denies");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("role              allowed: list, read, create, update\n"), "{said}");
    let rule = "role `denies`, spec.deny.rules[1]: {resources: [role], verbs: [delete]}";
    assert!(said.contains(&format!("PROBLEM: delete is denied by {rule}")), "{said}");
    assert!(!said.contains("create this role"), "{said}");
    assert!(!said.contains("rules[0]"), "users are not in use: {said}");

    // What is lacking is asked for, as before.
    let (code, said) = doctor(&served, "reads,denies");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("role              allowed: list, read\n"), "{said}");
    assert!(said.contains("not allowed: create, update, delete"), "{said}");
    assert!(
        said.contains("create this role") && said.contains("Denied, which overrides"),
        "{said}"
    );
}
