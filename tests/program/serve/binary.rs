//! `plane serve` and `plane identity` of the built binary.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use crate::served::Served;

const IDENTITY: [&str; 6] = ["plane", "identity", "--state", "state.db", "--user", "alice"];

fn find(served: &Served) -> String {
    let mut stream = TcpStream::connect(&served.address).unwrap();
    stream.write_all(b"GET /webapi/find HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_serves_mints_and_keeps_its_authorities() {
    let mut served = Served::start();
    assert!(find(&served).contains("\"cluster_name\":\"embedded.local\""));
    let through_socket = fs::read_to_string(served.identity("alice", "editor")).unwrap();
    served.kill();
    let offline = fs::read_to_string(served.identity("bob", "editor,access")).unwrap();
    // Keys and certificates differ, the authorities do not.
    let authority = |file: &str| file.split_once("@cert-authority").unwrap().1.to_owned();
    assert_eq!(authority(&through_socket), authority(&offline));
    assert_ne!(through_socket, offline);
    for name in ["alice.pem", "bob.pem", "plane.db"] {
        let metadata = fs::metadata(served.dir.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
    served.restart(&[]);
    assert!(find(&served).contains("embedded.local"));
}

#[test]
fn a_triple_is_three_files() {
    let served = Served::start();
    let args = [&IDENTITY[..], &["--roles", "access", "--format", "tls", "-o", "out"]].concat();
    let output = served.run(&args);
    assert!(output.status.success());
    let read = |name: &str| fs::read_to_string(served.dir.path().join(name)).unwrap();
    assert!(read("out.key").starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(read("out.crt").starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(read("out.cas").starts_with("-----BEGIN CERTIFICATE-----"));
    assert_ne!(read("out.crt"), read("out.cas"));
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!said.contains("BEGIN"), "{said}");
}

#[test]
fn what_cannot_be_minted_is_said() {
    let served = Served::start();
    let run = |more: &[&str]| {
        let output = served.run(&[&IDENTITY[..], &["-o", "x.pem"], more].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["--roles", "access,no-such-role"]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("role `no-such-role` does not exist") && !said.contains("`access`"),
        "{said}"
    );
    let (code, said) = run(&["--roles", "access", "--ttl", "soon"]);
    assert_eq!(code, Some(64), "{said}");
    let (code, said) = run(&["--roles", "access", "--ttl", "0s"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("from one second to ten years"), "{said}");
}

#[test]
fn a_state_has_one_server() {
    let served = Served::start();
    let args = ["plane", "serve", "--listen", "127.0.0.1:0", "--state", "state.db"];
    let second = served.run(&args);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("is in use by process"), "{said}");
    // The refused one has not taken the socket away.
    served.identity("alice", "access");
}

/// A directory as people have it: folders, both formats, names whose order is not that of the
/// references, and what is no manifest.
fn given(served: &Served) -> std::path::PathBuf {
    let dir = served.dir.path().join("given");
    for folder in ["a-trust", "kube", "roles"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    let trust = "kind: trusted_cluster\nversion: v2\nmetadata: {name: root}\nspec:\n  enabled: true\n  \
        token: secret-token\n  tunnel_addr: root.test:3024\n  web_proxy_addr: root.test:443\n  \
        role_map: [{remote: access, local: [visitor]}]\n";
    fs::write(dir.join("a-trust/root.yaml"), trust).unwrap();
    let user = "kind: user\nversion: v2\nmetadata: {name: ann}\nspec: {roles: [visitor]}\n";
    fs::write(dir.join("ann.yml"), user).unwrap();
    let kube = r#"{"kind":"kube_cluster","version":"v3","metadata":{"name":"k"},"spec":{"aws":
        {"region":"eu-west-1","account_id":"123456789012","name":"k"}}}"#;
    fs::write(dir.join("kube/k.json"), kube).unwrap();
    fs::write(dir.join("roles/visitor.yaml"), VISITOR).unwrap();
    fs::write(dir.join("notes.txt"), "not a manifest").unwrap();
    dir
}

const VISITOR: &str = "kind: role\nversion: v7\nmetadata: {name: visitor}\nspec: {}\n";

/// `plane serve --load given` on a state that is not served; it must fail.
fn refused(served: &mut Served) -> String {
    refused_with(served, 1)
}

fn refused_with(served: &mut Served, code: i32) -> String {
    served.kill();
    let args = ["plane", "serve", "--listen", "127.0.0.1:0", "--state", "state.db"];
    let output = served.run(&[&args[..], &["--load", "given"]].concat());
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty(), "nothing was served");
    String::from_utf8(output.stderr).unwrap()
}

fn is_there(served: &Served, what: &str) -> bool {
    served.run(&["plane", "get", what, "--state", "state.db"]).status.success()
}

#[test]
fn a_directory_is_there_before_the_first_call() {
    let mut served = Served::start();
    let dir = given(&served);
    let said = served.restart_said(&["--load", "given"]);
    assert!(said.contains("loaded 4 resources from given: 4 created, 0 updated"), "{said}");
    for what in ["role/visitor", "user/ann", "kube_cluster/k", "trusted_cluster/root"] {
        let output = served.run(&["plane", "get", what, "--state", "state.db"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(!shown.contains("reconciler-owner"), "nobody owns it: {shown}");
    }
    // What was loaded before is there already; what changed since is changed.
    fs::write(dir.join("roles/visitor.yaml"), VISITOR.replace("{}", "{allow: {logins: [ann]}}"))
        .unwrap();
    let said = served.restart_said(&["--load", "given"]);
    assert!(said.contains("4 resources from given: 0 created, 1 updated, 3 unchanged"), "{said}");
    let shown = served.run(&["plane", "get", "role/visitor", "--state", "state.db"]).stdout;
    assert!(String::from_utf8(shown).unwrap().contains("- ann"));
}

#[test]
fn the_manifests_of_this_repository_can_be_loaded() {
    let mut served = Served::start();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/desired-state");
    for (created, same) in [(6, 0), (0, 6)] {
        let said = served.restart_said(&["--load", dir]);
        let told =
            format!("loaded 6 resources from {dir}: {created} created, 0 updated, {same} un");
        assert!(said.contains(&told), "{said}");
    }
}

#[test]
fn a_directory_with_an_error_is_not_loaded_at_all() {
    let mut served = Served::start();
    let dir = given(&served);
    // Seen before anything is sent, with its place.
    let wrong = VISITOR.replace("spec: {}", "spec:\n  allow:\n    logns: [root]");
    fs::write(dir.join("roles/visitor.yaml"), wrong).unwrap();
    let said = refused(&mut served);
    assert!(said.contains("roles/visitor.yaml:6:5"), "{said}");
    assert!(said.contains("did you mean `logins`?"), "{said}");
    // What only the plane can know: it is told with its place, and nothing else is kept.
    fs::write(dir.join("roles/visitor.yaml"), VISITOR).unwrap();
    let user = "\n---\nkind: user\nversion: v2\nmetadata: {name: bob}\nspec: {roles: [nobody]}\n";
    fs::write(dir.join("bob.yaml"), user).unwrap();
    let said = refused(&mut served);
    assert!(said.contains("bob.yaml:3:1: error: the control plane rejected user/bob"), "{said}");
    for what in ["role/visitor", "user/ann", "user/bob", "kube_cluster/k"] {
        assert!(!is_there(&served, what), "{what} was loaded");
    }
    assert!(is_there(&served, "role/everything"), "what was there before stays");
}

#[test]
fn an_empty_directory_loads_nothing_and_says_so() {
    let mut served = Served::start();
    fs::create_dir(served.dir.path().join("given")).unwrap();
    let said = served.restart_said(&["--load", "given"]);
    assert!(said.contains("loaded 0 resources from given"), "{said}");
    served.kill();
    fs::remove_dir(served.dir.path().join("given")).unwrap();
    let said = refused_with(&mut served, 64);
    assert!(said.contains("no such directory: `given`"), "{said}");
}

#[test]
fn a_plane_in_memory_leaves_nothing() {
    let mut served = Served::start();
    served.kill();
    let memory = ["plane", "serve", "--listen", "127.0.0.1:0", "--state", "memory"];
    let mut child = served.command(&memory).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    let args = [
        "plane", "identity", "--state", "memory", "--user", "a", "--roles", "access", "-o", "m.pem",
    ];
    let minted = served.run(&args);
    let said = String::from_utf8_lossy(&minted.stderr).into_owned();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(minted.status.success(), "{said}");
    let names: Vec<_> =
        fs::read_dir(served.dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!names.iter().any(|it| it.to_string_lossy().starts_with("memory")), "{names:?}");
}

#[test]
fn a_state_belongs_to_one_control_plane() {
    let (one, other) = (Served::start(), Served::start());
    let dir = one.dir.path();
    fs::create_dir(dir.join("desired")).unwrap();
    fs::create_dir(dir.join("agent")).unwrap();
    let role = "kind: role\nversion: v7\nmetadata: {name: a}\nspec: {}\n";
    fs::write(dir.join("desired/a.yaml"), role).unwrap();
    let once = |served: &Served, identity: &std::path::Path| {
        let config = format!(
            "[agent]\nname = \"edge\"\n[control_plane]\nkind = \"teleport\"\naddress = {:?}\n\
             identity_file = {identity:?}\n[state]\npath = \"agent/state.db\"\n",
            served.address,
        );
        fs::write(dir.join("agent.toml"), config).unwrap();
        let output = one.run(&["--config", "agent.toml", "--once", "desired"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let ours = one.identity("edge", "everything");
    let (code, said) = once(&one, &ours);
    assert_eq!(code, Some(0), "{said}");
    // Another cluster of the same name, with an identity of its own.
    let theirs = other.identity("edge", "everything");
    let (code, said) = once(&other, &theirs);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("control plane `teleport:embedded.local"), "{said}");
    assert!(said.contains("state.db"), "{said}");
    let there = other.run(&["plane", "get", "role/a", "--state", "state.db"]);
    assert!(!there.status.success(), "nothing was done there");
    // The first one is as good as before.
    let (code, said) = once(&one, &ours);
    assert_eq!(code, Some(0), "{said}");
}
