//! Kubeconfigs for other hosts: what is wrong with one, and how one is made.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "test code")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use reconciler::kind::kubeconfig::check;

const GOOD: &str = "\
apiVersion: v1
kind: Config
current-context: prod
clusters:
- name: prod
  cluster:
    server: https://prod.example.com:6443
    certificate-authority-data: Y2E=
contexts:
- name: prod
  context: {cluster: prod, user: robot}
users:
- name: robot
  user:
    token: hunter2-hunter2
";

/// What is replaced by what, and the findings: code, place inside, line.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str, usize)]);

const CASES: &[Case] = &[
    ("kind: Config\n", "", &[]),
    ("kind: Config", "kind: Secret", &[("K090", "", 1)]),
    ("apiVersion: v1", "apiVersion: v2", &[("K090", "", 1)]),
    ("current-context: prod\n", "", &[("K091", "", 1)]),
    ("current-context: prod", "current-context: ''", &[("K091", "", 1)]),
    ("current-context: prod", "current-context: dev", &[("K091", "current-context", 3)]),
    ("cluster: prod, user: robot", "user: robot", &[("K091", "contexts[0].context", 11)]),
    ("user: robot}", "user: nobody}", &[("K091", "contexts[0].context.user", 11)]),
    ("{cluster: prod,", "{cluster: dev,", &[("K091", "contexts[0].context.cluster", 11)]),
    ("    server: https://prod.example.com:6443\n", "", &[("K092", "clusters[0].cluster", 7)]),
    ("https://prod", "http://prod", &[("K092", "clusters[0].cluster.server", 7)]),
    ("prod.example.com", "127.0.0.1", &[("K092", "clusters[0].cluster.server", 7)]),
    ("prod.example.com", "localhost", &[("K092", "clusters[0].cluster.server", 7)]),
    ("prod.example.com", "[::1]", &[("K092", "clusters[0].cluster.server", 7)]),
    ("prod.example.com", "10.0.0.1", &[]),
    (
        "certificate-authority-data: Y2E=",
        "insecure-skip-tls-verify: true",
        &[("K092", "clusters[0].cluster.insecure-skip-tls-verify", 8)],
    ),
    (
        "certificate-authority-data: Y2E=",
        "certificate-authority: /etc/ca.pem",
        &[("K093", "clusters[0].cluster.certificate-authority", 8)],
    ),
    ("Y2E=", "'-----BEGIN'", &[("K095", "clusters[0].cluster.certificate-authority-data", 8)]),
    ("token: hunter2-hunter2", "tokenFile: /t", &[("K093", "users[0].user.tokenFile", 15)]),
    (
        "token: hunter2-hunter2",
        "{client-certificate: c.pem, client-key: k.pem}",
        &[
            ("K093", "users[0].user.client-certificate", 15),
            ("K093", "users[0].user.client-key", 15),
        ],
    ),
    ("token: hunter2-hunter2", "{client-certificate-data: Y2E=, client-key-data: Y2E=}", &[]),
    ("token: hunter2-hunter2", "client-certificate-data: Y2E=", &[("K095", "users[0].user", 15)]),
    ("token: hunter2-hunter2", "client-key-data: Y2E=", &[("K095", "users[0].user", 15)]),
    ("token: hunter2-hunter2", "exec: {command: aws}", &[("K094", "users[0].user.exec", 15)]),
    (
        "token: hunter2-hunter2",
        "auth-provider: {name: gcp}",
        &[("K094", "users[0].user.auth-provider", 15)],
    ),
    ("token: hunter2-hunter2", "{}", &[("K095", "users[0].user", 15)]),
    ("token: hunter2-hunter2", "{username: u, password: p}", &[]),
    ("contexts:\n", "contexts:\n- {name: old, context: {}}\n", &[("K096", "contexts", 10)]),
    ("users:", "users: hunter2-hunter2: x", &[("K090", "", 12)]),
    ("users:", "kind: hunter2\nusers:", &[("K090", "", 12)]),
];

#[test]
fn what_is_wrong_is_found_at_its_place_and_its_content_is_not_told() {
    assert_eq!(check(GOOD.as_bytes()), Vec::new());
    for (from, to, expected) in CASES {
        let text = GOOD.replace(from, to);
        assert_ne!(&text, GOOD, "{from}");
        let found = check(text.as_bytes());
        let line = |offset: u32| {
            let before = text.as_bytes().iter().take(usize::try_from(offset).unwrap());
            1 + before.filter(|byte| **byte == b'\n').count()
        };
        let said: Vec<(&str, &str, usize)> =
            found.iter().map(|it| (it.code.0, it.path.as_str(), line(it.offset))).collect();
        assert_eq!(said, *expected, "{from} -> {to}: {found:?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn what_is_no_kubeconfig_is_refused() {
    for content in [
        "".as_bytes(),
        b"# nothing\n",
        b"text",
        b"[1, 2]",
        b"\xff\xfe",
        b"a: b: c",
        b"YXBpVmVyc2lvbjogdjEK",
        b"a: 1\n---\nb: 2\n",
    ] {
        let found = check(content);
        assert_eq!(found.len(), 1, "{content:?}: {found:?}");
        assert!(found.iter().all(|it| matches!(it.code.0, "K090" | "K091")), "{found:?}");
    }
}

// ---- The commands ----------------------------------------------------------------------------

/// Answers as `kubectl` does, and records what it was asked: arguments in `asked`, standard
/// input in `applied.yaml`. The token comes with the second look.
const FAKE: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/asked"
case "$*" in
  "config view"*) cat "$here/view.json" ;;
  *"apply -f -") cat > "$here/applied.yaml"; echo "applied" ;;
  *"get secret"*)
    if [ -e "$here/looked" ]; then
      echo '{"data":{"token":"aHVudGVyMi1odW50ZXIy","ca.crt":"Y2E="}}'
    else
      touch "$here/looked"
      echo '{"metadata":{}}'
    fi ;;
  *) echo "what?" >&2; exit 1 ;;
esac
"#;

const VIEW: &str = r#"{"kind":"Config","apiVersion":"v1","clusters":[{"name":"prod","cluster":
{"server":"https://prod.example.com:6443","certificate-authority-data":"Y2E="}}],
"users":[{"name":"me","user":{"token":"my-own-token"}}],"contexts":[],"current-context":"prod"}"#;

fn fake() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubectl");
    fs::write(&file, FAKE).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("view.json"), VIEW).unwrap();
    dir
}

fn reconciler(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reconciler"))
        .args(args)
        .current_dir(dir)
        .env("PATH", format!("{}:/usr/bin:/bin", dir.display()))
        .env_remove("RECONCILER_CONFIG")
        .env_remove("STATE_DIRECTORY")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_file_is_judged_with_its_own_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(&file, GOOD).unwrap();
    let output = reconciler(dir.path(), &["kubeconfig", "check", "config"]);
    assert!(output.status.success(), "{}", said(&output));
    fs::write(&file, GOOD.replace("token: hunter2-hunter2", "tokenFile: hunter2")).unwrap();
    let output = reconciler(dir.path(), &["kubeconfig", "check", "config"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("config:15:16: error[K093]: `users[0].user.tokenFile`: "), "{text}");
    assert!(text.contains("--flatten"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let output = reconciler(dir.path(), &["kubeconfig", "check", "none"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_has_no_end_is_not_read_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    // A limit of memory stands in for the patience of a person.
    let limited = |command: &str| {
        let program = env!("CARGO_BIN_EXE_reconciler");
        let script = format!("ulimit -v 1500000; exec {program} {command}");
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(dir.path())
            .env_remove("RECONCILER_CONFIG")
            .output()
            .unwrap();
        (output.status.code(), said(&output))
    };
    for command in [
        "kubeconfig check /dev/zero",
        "kubeconfig check - < /dev/zero",
        "--config /dev/zero validate .",
        "--control-plane memory plane set /dev/zero",
        "--control-plane memory plane set - < /dev/zero",
    ] {
        let (code, text) = limited(command);
        assert_eq!(code, Some(1), "{command}: {text}");
        assert!(text.contains("it has more than "), "{command}: {text}");
    }
}

#[test]
fn a_kubeconfig_comes_on_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let judged = |text: &str| {
        fs::write(dir.path().join("config"), text).unwrap();
        let file = fs::File::open(dir.path().join("config")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_reconciler"))
            .args(["kubeconfig", "check", "-"])
            .current_dir(dir.path())
            .stdin(file)
            .output()
            .unwrap();
        (output.status.code(), said(&output))
    };
    let (code, text) = judged(GOOD);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("stdin: usable by a Kubernetes Service"), "{text}");
    let (code, text) = judged(&GOOD.replace("token: hunter2-hunter2", "tokenFile: hunter2"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("stdin:15:16: error[K093]"), "{text}");
}

#[test]
fn a_kubeconfig_is_made_as_announced() {
    let dir = fake();
    let dir = dir.path();
    let args = ["kubeconfig", "create", "--context", "prod", "--namespace", "access", "-o", "out"];
    let mut only_said = args.to_vec();
    only_said.push("--dry-run");
    let output = reconciler(dir, &only_said);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("https://prod.example.com:6443"), "{}", said(&output));
    assert!(!dir.join("applied.yaml").exists() && !dir.join("out").exists());

    fs::remove_file(dir.join("asked")).unwrap();
    let output = reconciler(dir, &args);
    assert!(output.status.success(), "{}", said(&output));
    let announced = said(&output);
    let order =
        [announced.find("this will do"), announced.find("applied"), announced.find("wrote")];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{announced}");
    assert!(!announced.contains("hunter2"), "{announced}");
    let asked = fs::read_to_string(dir.join("asked")).unwrap();
    assert_eq!(
        asked,
        "config view --raw --minify --flatten -o json --context prod\n\
         --context prod apply -f -\n\
         --context prod -n access get secret teleport-kube-service-token -o json\n\
         --context prod -n access get secret teleport-kube-service-token -o json\n"
    );
    assert_eq!(fs::metadata(dir.join("out")).unwrap().permissions().mode() & 0o777, 0o600);
    let written = fs::read_to_string(dir.join("out")).unwrap();
    assert_eq!(check(written.as_bytes()), Vec::new(), "{written}");
    assert!(written.contains("hunter2-hunter2") && !written.contains("my-own-token"), "{written}");
    the_real_one_reads_it(&dir.join("out"));

    let again = reconciler(dir, &args);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("already exists"), "{}", said(&again));
    assert_eq!(fs::read_to_string(dir.join("out")).unwrap(), written);
}

/// `kubectl` itself, where it is installed.
fn the_real_one_reads_it(file: &Path) {
    let view = |path: &str| {
        Command::new("kubectl")
            .args(["config", "view", "--raw", "--minify", "-o", &format!("jsonpath={{{path}}}")])
            .env("KUBECONFIG", file)
            .output()
    };
    let Ok(server) = view(".clusters[0].cluster.server") else {
        eprintln!("skipped: there is no kubectl here");
        return;
    };
    assert_eq!(said(&server), "https://prod.example.com:6443");
    assert_eq!(said(&view(".users[0].user.token").unwrap()), "hunter2-hunter2");
    assert_eq!(said(&view(".contexts[0].context.user").unwrap()), "teleport-kube-service");
}

#[test]
fn what_is_applied_is_what_lies_in_the_folder_in_the_namespace_that_was_named() {
    let dir = fake();
    let create = |namespace: &str| {
        drop(fs::remove_file(dir.path().join("out")));
        let args = ["kubeconfig", "create", "--context", "prod", "-o", "out", "--namespace"];
        let output = reconciler(dir.path(), &[&args[..], &[namespace]].concat());
        assert!(output.status.success(), "{}", said(&output));
        fs::read_to_string(dir.path().join("applied.yaml")).unwrap()
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubernetes");
    let usual = create("teleport");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "yaml") {
            assert!(usual.contains(&fs::read_to_string(&path).unwrap()), "{}", path.display());
            files += 1;
        }
    }
    assert_eq!(usual.split("---\n").count(), files);
    let other = create("access");
    assert_eq!(other.matches("namespace: access\n").count(), 3, "{other}");
    assert!(other.contains("kind: Namespace\nmetadata:\n  name: access\n"), "{other}");
    assert!(other.contains("name: teleport-kube-service:access\n"), "{other}");
    assert!(!other.contains(": teleport\n") && !other.contains(":teleport\n"), "{other}");
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_written() {
    let dir = fake();
    let create = ["kubeconfig", "create", "--context", "prod", "-o", "out"];
    let bad = reconciler(dir.path(), &[&create[..], &["--namespace", "Not_One"]].concat());
    assert_eq!(bad.status.code(), Some(64), "{}", said(&bad));
    fs::write(dir.path().join("view.json"), "{\"clusters\":null}").unwrap();
    let none = reconciler(dir.path(), &create);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none).contains("no cluster"), "{}", said(&none));
    let only_tokens =
        VIEW.replace(r#""certificate-authority-data":"Y2E=""#, r#""certificate-authority":"/x""#);
    fs::write(dir.path().join("view.json"), only_tokens).unwrap();
    let files = reconciler(dir.path(), &create);
    assert_eq!(files.status.code(), Some(1), "{}", said(&files));
    assert!(!dir.path().join("out").exists());
}
