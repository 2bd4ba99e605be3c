//! What our client sends, as the SDK understands it, compared with what the manifests say.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use reconciler::adapter::cluster::Remote;
use reconciler::kind::{self, Kind, OWNER_LABEL, call, canonical};
use reconciler::model::{Cluster, Value, duration};
use reconciler::port::Cluster as _;
use serde::Deserialize as _;
use tonic::transport::{Channel, Endpoint};

const OWNER: &str = "judge";
const REVISION: &str = "6a2b8c9e-9f3c-4f0e-8a37-0d5e3c0b1a2f";
const DEADLINE: Duration = Duration::from_secs(20);

/// One wanted resource: where it is from, and what it says.
struct Case {
    from: String,
    kind: &'static Kind,
    value: serde_json::Value,
}

/// What our canonical form leaves out on purpose, as the server would: of a kind, a path.
const DROPPED: &[(&str, &str)] = &[("bot", "/sub_kind"), ("bot", "/metadata/description")];

/// The manifests of the published examples, tctl's own reading of many more, and some with every
/// field.
fn cases() -> Vec<Case> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut cases = Vec::new();
    let seeds = std::fs::read_dir(data.join("seeds")).unwrap().map(|entry| entry.unwrap().path());
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gosdk/whole.yaml");
    for path in seeds.chain([whole]).filter(|it| it.extension().is_some_and(|it| it == "yaml")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = serde_json::Value::deserialize(document).unwrap();
            cases.extend(case(path.display().to_string(), value));
        }
    }
    let vectors = std::fs::read_to_string(data.join("vectors/manifests.jsonl")).unwrap();
    for line in vectors.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for document in line["documents"].as_array().into_iter().flatten() {
            cases.extend(case(line["name"].to_string(), document["resource"].clone()));
        }
    }
    cases
}

fn case(from: String, mut value: serde_json::Value) -> Option<Case> {
    let kind = kind::find(value["kind"].as_str()?)?;
    // Old files have an id, which no server of today knows.
    value["metadata"].as_object_mut()?.remove("id");
    value["metadata"]["name"].as_str().filter(|name| !name.is_empty())?;
    Some(Case { from, kind, value })
}

struct Recorder {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Recorder {
    fn start(command: &mut Command) -> (Self, String) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        lines.read_line(&mut address).unwrap();
        (Self { child, lines }, address.trim().to_owned())
    }

    /// What was received last.
    fn heard(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("a line of JSON")
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Its end of input is its end.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Sends each case as a create and as an update.
pub(crate) fn compare(command: &mut Command) {
    let (mut recorder, address) = Recorder::start(command);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut sent = BTreeMap::<&str, u32>::new();
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let remote = Remote::new(endpoint.connect().await.unwrap());
        for case in cases() {
            one(&remote, &mut recorder, &case).await;
            *sent.entry(case.kind.name.as_str()).or_default() += 1;
        }
    });
    for kind in kind::KINDS {
        let least = if ["role", "kube_cluster"].contains(&kind.name.as_str()) { 20 } else { 1 };
        assert!(sent.get(kind.name.as_str()).is_some_and(|count| *count >= least), "{sent:?}");
    }
}

async fn one(remote: &Remote<Channel>, recorder: &mut Recorder, case: &Case) {
    let Case { from, kind, value } = case;
    let name = value["metadata"]["name"].as_str().unwrap();
    let wanted = Value::from_serde(value.clone());
    let resource = canonical::resource(kind, Cluster::Parent, name, wanted.clone());

    let message = canonical::encode(kind, &resource, None, OWNER).expect(from);
    if let Some(request) = call::create(kind, message) {
        remote.call(request.path, request.body, DEADLINE).await.expect(from);
        let heard = recorder.heard();
        assert!(request.path.ends_with(heard["method"].as_str().unwrap()), "{from}: {heard}");
        same(case, &heard["resource"], None);
    }

    // The live side is the same with a revision.
    let mut live = wanted;
    if let Value::Map(fields) = &mut live
        && let Some(Value::Map(metadata)) = fields.get_mut("metadata")
    {
        metadata.insert("revision".to_owned(), Value::String(REVISION.to_owned()));
    }
    let wire = canonical::from_value(kind, &live).expect(from);
    let live = canonical::decode(kind, Cluster::Parent, wire).expect(from);
    let message = canonical::encode(kind, &resource, Some(&live), OWNER).expect(from);
    let Some(request) = call::update(kind, message) else { return };
    remote.call(request.path, request.body, DEADLINE).await.expect(from);
    let heard = recorder.heard();
    assert!(request.path.ends_with(heard["method"].as_str().unwrap()), "{from}: {heard}");
    same(case, &heard["resource"], Some(REVISION));
}

/// Field by field, both ways: all that the manifest says arrives, and nothing else but the
/// defaults that the agent fills in, its mark, and the revision.
fn same(case: &Case, heard: &serde_json::Value, revision: Option<&str>) {
    let Case { from, kind, value } = case;
    let name = value["metadata"]["name"].as_str().unwrap();
    let resource =
        canonical::resource(kind, Cluster::Parent, name, Value::from_serde(value.clone()));
    let filled: serde_json::Value = serde_json::from_str(&resource.canonical).unwrap();
    let (wanted, filled, heard) = (leaves(value), leaves(&filled), leaves(heard));
    for (path, leaf) in &wanted {
        let dropped = DROPPED.contains(&(kind.name.as_str(), path.as_str()));
        if ignored(path) || dropped || leaf.iter().all(|leaf| leaf == "false" || leaf == "0") {
            continue;
        }
        // What the rules of the canonical form change on purpose is judged by their own tests;
        // here the canonical form must arrive.
        let expected = filled.get(path).unwrap_or(leaf);
        assert!(
            heard.get(path).is_some_and(|it| alike(it, expected)),
            "{from}: {path}: said {leaf:?}, sent {:?}",
            heard.get(path)
        );
    }
    for (path, leaf) in &heard {
        let ours = path == &format!("/metadata/labels/{OWNER_LABEL}") && leaf == &[OWNER];
        let known = revision.is_some_and(|it| path == "/metadata/revision" && leaf == &[it]);
        let dull = leaf.iter().all(|leaf| leaf == "false" || leaf == "0");
        let meant = filled.get(path).or(wanted.get(path)).is_some_and(|it| alike(it, leaf));
        assert!(ours || known || dull || meant, "{from}: nobody said {path} {leaf:?}");
    }
    if let Some(revision) = revision {
        assert_eq!(&heard["/metadata/revision"], &[revision], "{from}");
    }
    let marked = heard.contains_key(&format!("/metadata/labels/{OWNER_LABEL}"));
    assert_eq!(marked, kind.keeps_labels, "{from}");
}

/// What the server decides, whatever a manifest says of it.
fn ignored(path: &str) -> bool {
    let labels = "/metadata/labels/";
    ["/status", "/metadata/revision", "/metadata/namespace"]
        .into_iter()
        .map(str::to_owned)
        .chain(
            ["teleport.dev/", "teleport.internal/", "reconciler/"].map(|it| labels.to_owned() + it),
        )
        .any(|it| path.starts_with(&it))
        || path.ends_with("/namespaces")
}

/// Every leaf that says something, by path; a list of leaves is one, sorted, and equal to its
/// only item.
fn leaves(value: &serde_json::Value) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &serde_json::Value, path: String, found: &mut BTreeMap<String, Vec<String>>) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                collect(value, format!("{path}/{name}"), found);
            }
        }
        serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, format!("{path}/{index}"), found);
            }
        }
        serde_json::Value::Array(items) => {
            let mut texts: Vec<String> = items.iter().map(plain).collect();
            texts.sort();
            if !texts.is_empty() {
                found.insert(path, texts);
            }
        }
        leaf => {
            let text = plain(leaf);
            if !text.is_empty() && text != "0001-01-01T00:00:00Z" {
                found.insert(path, vec![text]);
            }
        }
    }
}

fn plain(leaf: &serde_json::Value) -> String {
    leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned)
}

fn alike(one: &[String], other: &[String]) -> bool {
    let time = |text: &String| duration::parse(text).map_err(drop);
    one == other
        || matches!((one, other), ([one], [other])
            if time(one).is_ok() && time(one) == time(other))
}
