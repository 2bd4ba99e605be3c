//! Scripts that go wrong in every way, seen through a whole agent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster;
use crate::common::{PATIENCE, Place, until};

fn labels_table() -> String {
    let allow: Vec<String> = BAD.iter().map(|(name, ..)| format!("\"sh {name}.sh\"")).collect();
    format!("[kubernetes.dynamic_labels]\nallow = [{}]\ntimeout = \"1s\"\n", allow.join(", "))
}

/// What a script does, and why there is no newer value. None: there is one.
const BAD: &[(&str, &str, Option<&str>)] = &[
    ("hangs", "trap '' TERM; while :; do sleep 100; done", Some("it was ended after 1000 ms")),
    ("floods", "yes", Some("it printed more than ")),
    ("forks", "for i in 1 2 3; do (sleep 1000; echo late) & done; echo newer", None),
    ("forkshang", "sleep 1000 & sleep 1000 & wait", Some("it was ended after 1000 ms")),
    ("fails", "echo secret-complaint >&2; echo wrong; exit 7", Some("it ended with exit code 7")),
    ("killed", "echo wrong; kill -9 $$", Some("signal 9 ended it")),
    ("binary", "printf 'a\\377b'", Some("bytes that are not UTF-8")),
    ("steers", "printf 'a\\033[2Jb'", Some("a control character")),
    ("newline", "printf 'a\\nb\\n'", Some("more than one line")),
    ("vanishes", "", Some("it ended with exit code ")),
];

/// Which process groups have living members.
fn living() -> BTreeMap<u32, Vec<String>> {
    let mut groups: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let Ok(stat) = fs::read_to_string(entry.unwrap().path().join("stat")) else { continue };
        let mut fields = stat.rsplit(") ").next().unwrap().split(' ');
        let is_alive = fields.next() != Some("Z");
        // One that is dead already waits for the machine's first process to notice.
        // One that is being reaped just now is in the group -1.
        if is_alive && let Ok(group) = fields.nth(1).unwrap().parse() {
            groups.entry(group).or_default().push(stat);
        }
    }
    groups
}

fn labels(place: &Place) -> Value {
    let status: Value = serde_json::from_str(&place.ok(&["status", "--format", "json"])).unwrap();
    let label = |name: &str| {
        let id = format!("kube_cluster/{name}");
        (name.to_owned(), status["resources"][id.as_str()]["labels"]["said"].clone())
    };
    Value::Object(BAD.iter().map(|(name, ..)| label(name)).collect())
}

fn value_of(place: &Place, name: &str) -> Option<String> {
    let text = place.live(&format!("kube_cluster/{name}"))?;
    let line = text.lines().find(|line| line.trim().starts_with("said:"))?;
    Some(line.rsplit(": ").next()?.to_owned())
}

#[test]
fn scripts_that_go_wrong_cost_no_value_and_leave_no_process() {
    let place = Place::new(&labels_table());
    let first = "echo $$ >> leaders\n";
    for (name, ..) in BAD {
        place.put(&format!("{name}.sh"), &format!("{first}echo good-{name}\n"));
        let dynamic =
            format!("  dynamic_labels: {{said: {{period: 1s, command: [sh, {name}.sh]}}}}\n");
        place.put(&format!("{name}.yaml"), &(cluster(name, "{env: prod}") + &dynamic));
    }
    // What a command complains of is shown at the level `debug` alone.
    let agent = place.agent_with(&[]);
    for (name, ..) in BAD {
        until(name, &agent, || value_of(&place, name) == Some(format!("good-{name}")));
    }

    for (name, script, _) in BAD {
        if script.is_empty() {
            place.remove(&format!("{name}.sh"));
        } else {
            place.put(&format!("{name}.sh"), &format!("{first}{script}\n"));
        }
    }
    for (name, _, why) in BAD {
        let Some(why) = why else {
            until(name, &agent, || value_of(&place, name).as_deref() == Some("newer"));
            continue;
        };
        until(name, &agent, || {
            let label = &labels(&place)[*name];
            label["failing_since"].is_string() && label["why"].as_str().unwrap().contains(why)
        });
    }
    let before = labels(&place);
    let runs = || fs::read_to_string(place.source().join("leaders")).unwrap();
    let (seen, writes) = (runs().lines().count(), place.writes());
    until("all of them ran again", &agent, || runs().lines().count() > seen + 3 * BAD.len());

    // The last good value stays, in status and cluster, and it fails since it failed first.
    let after = labels(&place);
    for (name, _, why) in BAD.iter().filter(|(_, _, why)| why.is_some()) {
        let (old, new) = (&before[*name], &after[*name]);
        assert_eq!(new["value"], format!("good-{name}"), "{new}");
        assert_eq!(new["failing_since"], old["failing_since"]);
        assert!(new["why"].as_str().unwrap().contains(why.unwrap()), "{new}");
        assert_eq!(value_of(&place, name), Some(format!("good-{name}")));
    }
    assert_eq!(place.writes(), writes, "{:?}", place.calls());
    let text = place.ok(&["status"]);
    assert!(
        text.contains("label said: good-fails (seen ") && text.contains("failing since"),
        "{text}"
    );
    assert!(!agent.log().contains("secret-complaint") && !agent.log().contains('\u{1b}'));
    // A failure is said once, not each second.
    let said = agent.log().matches("`sh fails.sh`: it ended with exit code 7").count();
    assert_eq!(said, 1, "{}", agent.log());

    // Whoever is not running just now left nobody; at the end nobody is left at all.
    let leaders = || -> BTreeSet<u32> { runs().lines().map(|id| id.parse().unwrap()).collect() };
    let left = |of: &BTreeSet<u32>| -> Vec<String> {
        living().into_iter().filter(|(group, _)| of.contains(group)).flat_map(|it| it.1).collect()
    };
    let old = leaders();
    let seen = runs().lines().count();
    until("they ran again", &agent, || runs().lines().count() > seen + 5 * BAD.len());
    until("the old ones are gone", &agent, || left(&old).is_empty());
    assert!(agent.interrupt().success());
    // What was killed may need a moment to be gone.
    let started = Instant::now();
    while !left(&leaders()).is_empty() && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left(&leaders()), Vec::<String>::new());
}

#[test]
fn after_the_agents_sudden_death_no_command_runs() {
    let table = "[kubernetes.dynamic_labels]\nallow = [\"sh hang.sh\", \"sh quick.sh\"]\n";
    let place = Place::new(table);
    // One that deafens itself, with children; and one that comes and goes.
    place.put(
        "hang.sh",
        "echo $$ >> leaders\ntrap '' HUP TERM\nsleep 1000 &\nwhile :; do sleep 100; done\n",
    );
    place.put("quick.sh", "echo $$ >> quick\necho value\n");
    for name in ["hang", "quick"] {
        let dynamic =
            format!("  dynamic_labels: {{said: {{period: 1s, command: [sh, {name}.sh]}}}}\n");
        place.put(&format!("{name}.yaml"), &(cluster(name, "{env: prod}") + &dynamic));
    }
    let agent = place.agent();
    let lines = |name: &str| -> BTreeSet<u32> {
        let text = fs::read_to_string(place.source().join(name)).unwrap_or_default();
        text.lines().filter_map(|id| id.parse().ok()).collect()
    };
    let members = |of: &BTreeSet<u32>| -> usize {
        living().iter().filter(|(group, _)| of.contains(group)).map(|it| it.1.len()).sum()
    };
    until("it hangs, with its children", &agent, || members(&lines("leaders")) >= 3);
    until("the other one ran", &agent, || lines("quick").len() > 1);
    let hanging = lines("leaders");
    let reapers = reapers_of(agent.child.id());
    assert_eq!(reapers.len(), 1, "{reapers:?}");
    let started = Instant::now();
    agent.kill();
    while members(&hanging) > 0 {
        assert!(started.elapsed() < PATIENCE, "it still runs: {:?}", living());
        thread::sleep(Duration::from_millis(20));
    }
    while is_alive(reapers[0]) {
        assert!(started.elapsed() < PATIENCE, "the reaper stays");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The processes that this agent started to watch over its commands.
fn reapers_of(agent: u32) -> Vec<u32> {
    let ids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|it| it.unwrap().file_name().into_string().ok()?.parse().ok());
    ids.filter(|id: &u32| {
        let read =
            |name: &str| fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
        let parent =
            read("stat").rsplit(") ").next().and_then(|it| it.split(' ').nth(1)?.parse().ok());
        parent == Some(agent) && read("cmdline").contains("end-orphans")
    })
    .collect()
}

fn is_alive(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|it| !it.is_empty() && !it.starts_with('Z'))
}
