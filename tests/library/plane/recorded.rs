//! What a running server answered is what the plane answers, call by call.
//!
//! Names are changed at random first. Recorded ids stand for ours: the n-th in an answer of
//! theirs is the n-th in ours, and stays it for the rest of the case. With these put in, and with
//! times rounded, the answers must be equal messages. What may differ is in `differences.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};
use reconciler::plane::{Caller, Settings, Status, Trust};
use reconciler::wire::DESCRIPTORS;
use reconciler::wire::message::types;

use super::names::{self, Names};
use super::support::{WALL, World, allowing, code_named, kube, label_values, user};
use super::{calls, watches};

const FILES: &[(&str, &str)] = &[
    ("bot", include_str!("../../data/recorded/bot.jsonl")),
    ("kube", include_str!("../../data/recorded/kube.jsonl")),
    ("pages", include_str!("../../data/recorded/pages.jsonl")),
    ("ping", include_str!("../../data/recorded/ping.jsonl")),
    ("rbac", include_str!("../../data/recorded/rbac.jsonl")),
    ("role", include_str!("../../data/recorded/role.jsonl")),
    ("token", include_str!("../../data/recorded/token.jsonl")),
    ("trust", include_str!("../../data/recorded/trust.jsonl")),
    ("user", include_str!("../../data/recorded/user.jsonl")),
    ("watch", include_str!("../../data/recorded/watch.jsonl")),
];

/// Each gives other names.
const SEEDS: &[u64] = &[1, 2, 3];

/// Of all cases, how many may have a difference.
const DIFFERENT_PERCENT_MAX: usize = 3;

#[derive(Clone, serde::Deserialize)]
pub struct Step {
    pub case: String,
    #[serde(rename = "step")]
    pub number: u64,
    #[serde(default)]
    pub side: String,
    pub method: String,
    #[serde(default)]
    pub request: serde_json::Value,
    pub code: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub answer: serde_json::Value,
    #[serde(default)]
    pub request_wire: String,
    #[serde(default)]
    pub answer_wire: String,
}

/// A row of `differences.json`: `what` is `message`, a field of the answer, or `FIELD[1..]`.
#[derive(serde::Deserialize)]
struct Difference {
    case: String,
    step: u64,
    what: String,
    reason: String,
}

fn differences() -> Vec<Difference> {
    serde_json::from_str(include_str!("../../data/recorded/differences.json")).unwrap()
}

fn cases() -> Vec<Vec<Step>> {
    let mut cases: Vec<Vec<Step>> = Vec::new();
    for (file, text) in FILES {
        assert!(text.lines().count() >= 5, "{file} is nearly empty");
        for line in text.lines() {
            let step: Step = serde_json::from_str(line).unwrap();
            match cases.last_mut() {
                Some(case) if case[0].case == step.case => case.push(step),
                _ => cases.push(vec![step]),
            }
        }
    }
    cases
}

#[test]
fn recorded_calls_are_answered_alike() {
    let (cases, rows) = (cases(), differences());
    let mut needed = BTreeSet::new();
    for seed in SEEDS {
        let mut rng = fastrand::Rng::with_seed(*seed);
        for case in &cases {
            play(case, &mut rng, &rows, &mut needed);
        }
    }
    for (index, row) in rows.iter().enumerate() {
        assert!(!row.reason.is_empty(), "{} step {}: no reason", row.case, row.step);
        assert!(needed.contains(&index), "{} step {}: not needed", row.case, row.step);
    }
    let calls: usize = cases.iter().map(Vec::len).sum();
    let different: BTreeSet<_> = rows.iter().map(|row| &row.case).collect();
    println!(
        "{calls} recorded calls and events in {} cases answered alike, {} of them but for {} \
         excused texts or fields; each under {} sets of names",
        cases.len(),
        different.len(),
        rows.len(),
        SEEDS.len(),
    );
    assert_eq!((calls, cases.len()), (362, 158), "the recordings have changed");
    assert!(different.len() * 100 <= cases.len() * DIFFERENT_PERCENT_MAX);
}

/// One case under way.
struct Play<'a> {
    world: World,
    names: Names,
    /// Our ids by theirs.
    ours: BTreeMap<String, String>,
    rows: &'a [Difference],
    needed: &'a mut BTreeSet<usize>,
}

fn play(case: &[Step], rng: &mut fastrand::Rng, rows: &[Difference], needed: &mut BTreeSet<usize>) {
    if case[0].method.ends_with("/WatchEvents") {
        return watches::play(case);
    }
    let mut names = Names::new(rng);
    for step in case {
        let (request, answer) = calls::messages(&step.method);
        for (kind, wire) in [(request, &step.request_wire), (answer, &step.answer_wire)] {
            if let Some(mut message) = read(kind, &STANDARD.decode(wire).unwrap()) {
                names.learn(&mut message);
            }
        }
    }
    let world = set_up(case, &mut names);
    let mut play = Play { world, names, ours: BTreeMap::new(), rows, needed };
    for step in case {
        play.step(step);
    }
}

/// The message that the bytes are, all of it; none if it is the empty one.
fn read(kind: &str, bytes: &[u8]) -> Option<DynamicMessage> {
    if kind.is_empty() {
        assert!(bytes.is_empty(), "the empty message is not empty");
        return None;
    }
    let kind = DESCRIPTORS.get_message_by_name(kind).unwrap_or_else(|| panic!("no {kind}"));
    let message = DynamicMessage::decode(kind.clone(), bytes).unwrap();
    assert!(names::is_whole(&message), "fields that we do not know: {message}");
    let again = DynamicMessage::decode(kind, message.encode_to_vec().as_slice()).unwrap();
    assert_eq!(message, again, "lost when written");
    Some(message)
}

impl Play<'_> {
    fn step(&mut self, step: &Step) {
        let at = format!("{} step {}, {}", step.case, step.number, step.method);
        self.world.wait(Duration::from_millis(1));
        let (request, _) = calls::messages(&step.method);
        let request = read(request, &STANDARD.decode(&step.request_wire).unwrap());
        let request = request.map_or_else(Vec::new, |mut request| {
            self.names.rename(&mut request);
            names::replace_ids(&mut request, &self.ours);
            request.encode_to_vec()
        });
        let caller = match step.side.as_str() {
            "limited" => Caller {
                name: "limited".to_owned(),
                roles: vec![self.names.text("dev-kube")],
                admin: false,
            },
            _ => Caller::admin(),
        };
        match self.world.raw_as(&caller, &step.method, &request) {
            Ok(answer) => {
                assert_eq!(step.code, "OK", "{at}: answered, but was refused: {}", step.message);
                self.compare(&at, step, &answer);
            }
            Err(status) => self.compare_refusal(&at, step, &status),
        }
    }

    fn compare_refusal(&mut self, at: &str, step: &Step, status: &Status) {
        assert_eq!(status.code, code_named(&step.code), "{at}: {status:?}");
        let expected = without_ids(&self.names.text(&step.message));
        let got = without_ids(&without_ports(&status.message));
        if got != expected && !self.excused(step, "message") {
            assert_eq!(got, expected, "{at}");
        }
    }

    /// Whether a row excuses that difference, which makes the row needed.
    fn excused(&mut self, step: &Step, what: &str) -> bool {
        let fits = |row: &Difference| {
            (row.case.as_str(), row.step, row.what.as_str()) == (&step.case, step.number, what)
        };
        let row = self.rows.iter().position(fits);
        self.needed.extend(row);
        row.is_some()
    }

    fn compare(&mut self, at: &str, step: &Step, answer: &[u8]) {
        let (_, kind) = calls::messages(&step.method);
        let theirs = read(kind, &STANDARD.decode(&step.answer_wire).unwrap());
        let ours = read(kind, answer);
        let (Some(mut theirs), Some(mut ours)) = (theirs, ours) else { return };
        self.names.rename(&mut theirs);
        for message in [&mut theirs, &mut ours] {
            names::round_times(message, WALL / 1000);
        }
        let fields: Vec<String> = self
            .rows
            .iter()
            .filter(|row| row.case == step.case && row.step == step.number)
            .map(|row| row.what.clone())
            .filter(|what| what != "message")
            .collect();
        for what in fields {
            let whole = ours.clone();
            let dropped = (take_out(&mut theirs, &what), take_out(&mut ours, &what));
            assert!(whole == ours || dropped.0 != dropped.1, "{at}: {what} does not differ");
            if dropped.0 != dropped.1 {
                assert!(self.excused(step, &what));
            }
        }
        self.pair_ids(at, &mut theirs, &mut ours);
        names::replace_ids(&mut theirs, &self.ours);
        assert_eq!(ours, theirs, "{at}");
    }

    /// Our n-th id is their n-th from now on.
    fn pair_ids(&mut self, at: &str, theirs: &mut DynamicMessage, ours: &mut DynamicMessage) {
        let (old, new) = (names::ids_of(theirs), names::ids_of(ours));
        assert_eq!(old.len(), new.len(), "{at}: ids in the answer\n{ours}\n{theirs}");
        for (old, new) in old.into_iter().zip(new) {
            let fresh = !self.ours.values().any(|it| *it == new);
            let known = self.ours.entry(old).or_insert_with(|| {
                assert!(fresh, "{at}: an id is used again");
                new.clone()
            });
            assert_eq!(*known, new, "{at}: another id than before");
        }
    }
}

/// Takes a field out of a message, or with `[1..]` all items of it but the first.
fn take_out(message: &mut DynamicMessage, what: &str) -> Value {
    if let Some(field) = what.strip_suffix("[1..]") {
        let Some(Value::List(items)) = message.get_field_by_name_mut(field) else {
            panic!("no list {field}");
        };
        return Value::List(items.split_off(1));
    }
    let value = message.get_field_by_name(what).unwrap().into_owned();
    message.clear_field_by_name(what);
    value
}

/// The state that a case was recorded in.
fn set_up(case: &[Step], names: &mut Names) -> World {
    let settings = Settings {
        cluster_name: "root.test".to_owned(),
        trust: Trust::Unreachable,
        ..Default::default()
    };
    let mut world = World::new(settings);
    world.create_role("everything").unwrap();
    match case[0].case.as_str() {
        "role/in-use" | "role/preset" => {
            names.know("r-used");
            let role = names.text("r-used");
            world.create_role(&role).unwrap();
            world.create_user(user("somebody", &[&role, "access"])).unwrap();
        }
        "pages/roles" => {
            for number in 0..25 {
                world.create_role(&names.text(&format!("page-{number:02}"))).unwrap();
            }
        }
        "pages/users" => {
            for number in 0..25 {
                let name = format!("page-{number:02}");
                names.know(&name);
                world.create_user(user(&names.text(&name), &["access"])).unwrap();
            }
        }
        "user/invite" => {
            world.create_user(user(&names.text("u-invite"), &["access"])).unwrap();
        }
        "kube/list-order" => {
            let listed = case[0].answer["KubernetesClusters"].as_array().unwrap();
            for cluster in listed.iter().rev() {
                let name = names.text(cluster["metadata"]["name"].as_str().unwrap());
                world.kube("CreateKubernetesCluster", &name).unwrap();
            }
        }
        name if name.starts_with("rbac/") => limit(&mut world, names),
        _ => {}
    }
    world
}

/// A user who may do everything to the Kubernetes clusters of one label only, and two clusters.
fn limit(world: &mut World, names: &mut Names) {
    for name in ["dev-kube", "z-dev", "z-prod"] {
        names.know(name);
    }
    let verbs = ["list", "read", "create", "update", "delete"];
    let mut role = allowing(&names.text("dev-kube"), &["kube_cluster"], &verbs);
    "v7".clone_into(&mut role.version);
    let allow = role.spec.as_mut().unwrap().allow.as_mut().unwrap();
    allow.kubernetes_labels = Some(label_values(&[("env", "dev")]));
    world.put_role(role).unwrap();
    world.create_user(user("limited", &[&names.text("dev-kube")])).unwrap();
    for env in ["dev", "prod"] {
        let mut cluster: types::KubernetesClusterV3 = kube(&names.text(&format!("z-{env}")));
        let metadata = cluster.metadata.as_mut().unwrap();
        metadata.labels.insert("env".to_owned(), env.to_owned());
        let _: () = world.call("/proto.AuthService/CreateKubernetesCluster", &cluster).unwrap();
    }
}

fn without_ports(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push_str("127.0.0.1:<port>");
        out.push_str(part.trim_start_matches(|it: char| it.is_ascii_digit()));
    }
    out
}

/// The text without generated ids, or what the recording has in their place.
fn without_ids(text: &str) -> String {
    let mut text = text.to_owned();
    for id in names::ids(&text) {
        text = text.replace(&id, "<id>");
    }
    for kind in ["<hex-", "<id-"] {
        while let Some(at) = text.find(kind) {
            let length = text.split_at(at).1.find('>').unwrap();
            text.replace_range(at..=at + length, "<id>");
        }
    }
    text
}
