//! References to secrets in manifests: where they may lead, what they become, what is told.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reconciler::adapter::files::{Directory, Globs, Places, SECRET_SIZE_MAX};
use reconciler::manifest::decode::{self, Cache, read_with_cache};
use reconciler::manifest::reference::{Content, Reference, find};
use reconciler::manifest::{Reading, Snapshot, render};
use reconciler::model::{FingerprintKey, Severity, Value};

const KEY: FingerprintKey = FingerprintKey([7; 32]);

fn read(snapshot: &Snapshot) -> Reading {
    decode::read(snapshot, &KEY)
}

const TRUST: &str = "\
kind: trusted_cluster
version: v2
metadata: {name: root}
spec:
  enabled: true
  token: REFERENCE
  role_map: [{remote: access, local: [visitor]}]
  web_proxy_addr: root.example.com:443
";

const KUBE: &str = "\
kind: kube_cluster
version: v3
metadata: {name: k, labels: {note: 'file:///etc/passwd'}}
spec: {kubeconfig: 'REFERENCE'}
";

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: 'https://k'}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: swordfish-swordfish}}]
";

fn snapshot(text: &str, secrets: &[(&str, Result<&[u8], &str>)]) -> Snapshot {
    let content = |(reference, content): &(&str, Result<&[u8], &str>)| {
        let content = match content {
            Ok(bytes) => Ok(Content((*bytes).into())),
            Err(reason) => Err((*reason).to_owned()),
        };
        ((*reference).into(), content)
    };
    Snapshot {
        files: BTreeMap::from([("a.yaml".into(), text.as_bytes().into())]),
        secrets: secrets.iter().map(content).collect(),
        ..Snapshot::default()
    }
}

fn spec(reading: &Reading, field: &str) -> String {
    let manifest = reading.manifests.values().next().unwrap();
    let value = Value::from_json(&manifest.resource.canonical).unwrap();
    let json: serde_json::Value = serde_json::from_str(&value.to_json()).unwrap();
    json["spec"][field].as_str().unwrap().to_owned()
}

fn errors(reading: &Reading) -> Vec<String> {
    let errors = reading.findings.iter().filter(|it| it.severity == Severity::Error);
    errors.map(|error| error.message.clone()).collect()
}

#[test]
fn references_are_taken_apart() {
    for (text, expected) in [
        ("secret://a/b", Some(Reference::Secret { name: "a", key: "b" })),
        ("secret://a.b/c_d-e", Some(Reference::Secret { name: "a.b", key: "c_d-e" })),
        ("file:///run/x", Some(Reference::File("/run/x"))),
        ("file://keys/x.yaml", Some(Reference::File("keys/x.yaml"))),
        ("env://TOKEN_1", Some(Reference::Variable("TOKEN_1"))),
        ("secret://a", None),
        ("secret://a/b/c", None),
        ("secret://../b", None),
        ("secret://a/..", None),
        ("secret:///b", None),
        ("secret://a/b c", None),
        ("file://", None),
        ("file:///run/", None),
        ("file:///a\u{e4}", None),
        ("env://", None),
        ("env://1A", None),
        ("env://A-B", None),
    ] {
        assert_eq!(Reference::parse(text).ok(), expected, "{text}");
    }
}

#[test]
fn references_are_found_wherever_they_stand() {
    let text = b"a: secret://n/k\nb: [\"file:///x\", 'env://A'] # secret://in/comment\n\
                 \xff\nc: {secret://as/key: 1}\nd: secret://bad\n";
    let mut found = std::collections::BTreeSet::new();
    find(text, &mut found);
    let found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
    let expected =
        ["env://A", "file:///x", "secret://as/key", "secret://in/comment", "secret://n/k"];
    assert_eq!(found, expected);
}

#[test]
fn what_is_referred_to_takes_the_place() {
    let text = TRUST.replace("REFERENCE", "secret://root/token");
    let reading = read(&snapshot(&text, &[("secret://root/token", Ok(b"hunter2-hunter2\n"))]));
    assert_eq!(errors(&reading), Vec::<String>::new());
    assert_eq!(spec(&reading, "token"), "hunter2-hunter2");
    let text = KUBE.replace("REFERENCE", "file:///k");
    let reading = read(&snapshot(&text, &[("file:///k", Ok(KUBECONFIG.as_bytes()))]));
    assert_eq!(errors(&reading), Vec::<String>::new());
    assert_eq!(spec(&reading, "kubeconfig"), STANDARD.encode(KUBECONFIG));
    let note = r#""note":"file:///etc/passwd""#;
    let manifest = reading.manifests.values().next().unwrap();
    assert!(manifest.resource.canonical.contains(note), "text that is no secret stays");
}

#[test]
fn what_cannot_be_read_freezes_the_document_and_nothing_else() {
    let text = format!(
        "{}---\n{}",
        TRUST.replace("REFERENCE", "env://T"),
        "\
kind: role\nversion: v7\nmetadata: {name: r}\n"
    );
    let broken: &[(&str, Result<&[u8], &str>)] = &[
        ("env://T", Err("there is no such variable in the agent's environment")),
        ("env://T", Ok(b"\xff\xfe")),
    ];
    for (reference, content) in broken {
        let snapshot = snapshot(&text, &[(reference, *content)]);
        let reading = read(&snapshot);
        assert_eq!(reading.frozen.len(), 1);
        assert_eq!(reading.manifests.len(), 1);
        assert_eq!(errors(&reading).len(), 1);
        let line = render::line(&reading.findings[0], &snapshot);
        assert!(line.starts_with("a.yaml:6:10: error[M038]: `token` refers to a secret"), "{line}");
    }
    // Escapes hide a reference from those who look for it; it is not taken for the secret.
    let text = TRUST.replace("REFERENCE", "\"env:/\\x2fT\"");
    let reading = read(&snapshot(&text, &[]));
    assert!(errors(&reading)[0].contains("was not found"), "{:?}", errors(&reading));
    // A reference to a reference is none.
    let text = TRUST.replace("REFERENCE", "env://T");
    let reading = read(&snapshot(&text, &[("env://T", Ok(b"env://U"))]));
    assert_eq!(errors(&reading), ["`token` cannot refer to a secret"]);
    // A name says what the document is about; it is the same whatever the environment.
    let text = TRUST.replace("REFERENCE", "t").replace("root}", "'env://T'}");
    let reading = read(&snapshot(&text, &[("env://T", Ok(b"other"))]));
    assert!(reading.manifests.keys().all(|id| &*id.name != "other"), "{:?}", reading.manifests);
}

#[test]
fn a_change_of_the_content_alone_is_noticed() {
    let text = TRUST.replace("REFERENCE", "env://T");
    let mut cache = Cache::new(&KEY);
    let with = |content| snapshot(&text, &[("env://T", content)]);
    let one = read_with_cache(&with(Ok(b"one")), &mut cache);
    let again = read_with_cache(&with(Ok(b"one")), &mut cache);
    let two = read_with_cache(&with(Ok(b"two")), &mut cache);
    let gone = read_with_cache(&with(Err("gone")), &mut cache);
    let back = read_with_cache(&with(Ok(b"two")), &mut cache);
    assert_eq!(spec(&one, "token"), "one");
    assert_eq!(spec(&two, "token"), "two");
    assert_eq!(spec(&back, "token"), "two");
    assert_eq!((one.digest, one.referred), (again.digest, again.referred));
    assert_ne!(one.referred, two.referred);
    assert_ne!(two.referred, gone.referred);
    assert_eq!(gone.frozen.len(), 1);
    assert_eq!(one.digest, two.digest, "what is shown says nothing of secrets");
    assert_eq!(read(&with(Ok(b"two"))).referred, two.referred);
}

#[test]
fn contents_are_never_told() {
    let content = KUBECONFIG.replace("current-context: c", "current-context: nowhere");
    let text = KUBE.replace("REFERENCE", "secret://k/config");
    let snapshot = snapshot(&text, &[("secret://k/config", Ok(content.as_bytes()))]);
    let reading = read(&snapshot);
    assert_eq!(
        errors(&reading),
        ["`kubeconfig`, `current-context`: the current context does not exist"]
    );
    let told = format!(
        "{snapshot:?}\n{reading:?}\n{}\n{}",
        render::text(&reading.findings, &snapshot, false),
        serde_json::to_string(&render::json(&reading.findings, &snapshot)).unwrap()
    );
    let encoded: String = STANDARD.encode(&content).chars().take(16).collect();
    for secret in ["swordfish", "nowhere", &encoded] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

// ---- Where references may lead ---------------------------------------------------------------

fn look(dir: &Path, references: &[&str]) -> Vec<Result<String, String>> {
    let source = dir.join("source");
    fs::create_dir_all(&source).unwrap();
    let text = format!("# {}\n", references.join("\n# "));
    fs::write(source.join("a.yaml"), text).unwrap();
    let places = Places {
        dir: Some(dir.join("secrets")),
        roots: vec![dir.join("allowed")],
        environment: BTreeMap::from([
            ("TOKEN".into(), "from-environment".into()),
            ("EMPTY".into(), "".into()),
        ]),
    };
    assert!(!format!("{places:?}").contains("from-environment"));
    let directory = Directory::new(source, Globs::default()).with_places(places);
    let snapshot = directory.read_now().unwrap();
    let of = |it: &&str| match snapshot.secrets.get(*it) {
        Some(Ok(content)) => Ok(String::from_utf8(content.0.to_vec()).unwrap()),
        Some(Err(reason)) => Err(reason.clone()),
        None => panic!("{it} was not looked for"),
    };
    references.iter().map(of).collect()
}

#[test]
fn references_lead_where_they_may_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for below in ["source/keys", "secrets/name/..data", "allowed", "elsewhere"] {
        fs::create_dir_all(dir.join(below)).unwrap();
    }
    let put = |path: &str, text: &str| fs::write(dir.join(path), text).unwrap();
    put("secrets/name/..data/key", "mounted");
    symlink("..data/key", dir.join("secrets/name/key")).unwrap();
    put("secrets/flat_key", "credential");
    put("source/keys/k", "beside");
    put("allowed/k", "allowed");
    put("elsewhere/k", "no");
    put("allowed/empty", "");
    let large = usize::try_from(SECRET_SIZE_MAX).unwrap() + 1;
    put("allowed/large", &"x".repeat(large));
    symlink(dir.join("elsewhere/k"), dir.join("source/keys/out")).unwrap();
    symlink(dir.join("elsewhere/k"), dir.join("secrets/name/out")).unwrap();
    let file = |below: &str| format!("file://{}/{below}", dir.display());
    let outside = "it leads out of the directories that are allowed";
    let missing = "there is no such file";
    let cases: Vec<(String, Result<&str, &str>)> = vec![
        ("secret://name/key".into(), Ok("mounted")),
        ("secret://flat/key".into(), Ok("credential")),
        ("secret://name/out".into(), Err(outside)),
        ("secret://name/none".into(), Err(missing)),
        ("file://keys/k".into(), Ok("beside")),
        (file("allowed/k"), Ok("allowed")),
        (file("elsewhere/k"), Err(outside)),
        (file("secrets/flat_key"), Err(outside)),
        ("file://keys/out".into(), Err(outside)),
        ("file://../elsewhere/k".into(), Err(outside)),
        ("file:///etc/hostname".into(), Err(outside)),
        ("file://keys/none".into(), Err(missing)),
        ("file://keys".into(), Err("it is no regular file")),
        (file("allowed/empty"), Err("the file is empty")),
        (file("allowed/large"), Err("it has more than 1024 KiB")),
        ("env://TOKEN".into(), Ok("from-environment")),
        ("env://EMPTY".into(), Err("the variable is empty")),
        ("env://NONE".into(), Err("there is no such variable in the agent's environment")),
    ];
    let references: Vec<&str> = cases.iter().map(|(it, _)| it.as_str()).collect();
    for ((reference, expected), found) in cases.iter().zip(look(dir, &references)) {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found, expected, "{reference}");
    }
}

#[test]
fn without_a_directory_of_secrets_there_are_none() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), "# secret://a/b\n").unwrap();
    let snapshot = Directory::new(dir.path(), Globs::default()).read_now().unwrap();
    let refused = "the configuration has no `[secrets] dir`";
    assert_eq!(snapshot.secrets["secret://a/b"], Err(refused.to_owned()));
}
