//! A token whose name is its secret, from its creation to its end: whatever the program prints,
//! logs, answers and stores, the name is not in it.

use std::path::Path;

use super::{ROLE, hash_of};
use crate::common::{Agent, Place, bytes_of, until};

const NAME: &str = "hunter2-swordfish-lets-in";

const TOKEN: &str = "\
kind: token
version: v2
metadata:
  name: hunter2-swordfish-lets-in
spec:
  roles: [Node]
  join_method: token
";

/// The same by another method; the rest of the name's life.
const OPEN: &str = "\
kind: token
version: v2
metadata:
  name: hunter2-swordfish-lets-in
spec:
  roles: [Node]
  join_method: iam
  allow:
    - aws_account: \"123456789012\"
";

/// A place, and everything that was printed there.
struct Heard {
    place: Place,
    seen: Vec<String>,
}

impl Heard {
    fn new(extra: &str) -> Self {
        let heard = Self { place: Place::new(extra), seen: Vec::new() };
        heard.place.put("role.yaml", ROLE);
        heard
    }

    /// Runs a command; what it printed, on both streams.
    fn run(&mut self, args: &[&str]) -> String {
        let output = self.place.run(args);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        self.seen.push(format!("{args:?}\n{text}").replace(&format!("token/{NAME}"), "TYPED"));
        assert!(!text.contains(NAME), "{args:?}\n{text}");
        text
    }

    /// A preview of a directory in every format.
    fn preview(&mut self, dir: &str) -> String {
        let formats = ["text", "json", "markdown"];
        formats.map(|format| self.run(&["--dry-run", "--format", format, dir])).concat()
    }

    /// Every reading command in every format.
    fn look(&mut self, digits: &str) -> String {
        let token = format!("token/{digits}");
        let mut text = String::new();
        for args in [
            &["status"][..],
            &["status", "--format", "json"],
            &["history"],
            &["history", &token],
            &["get", "token"],
            &["get", &token],
            &["get", &token, "--format", "json"],
            &["get", &format!("token/{NAME}")],
            &["get", &format!("token/{NAME}-2")],
            &["wait", &format!("token/{NAME}-3"), "--timeout", "1ms"],
            &["doctor"],
            &["validate", "--format", "json"],
            &["plane", "calls"],
        ] {
            text += &self.run(args);
        }
        text
    }

    /// The state's files, but for those of the embedded plane, which is another program's memory.
    fn scan(&self) {
        let files = bytes_of(&self.place.state());
        let is_planes = |path: &Path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("plane"))
        };
        let holds =
            |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
        assert!(files.keys().any(|path| path.ends_with("state.db")), "{:?}", files.keys());
        for (path, bytes) in &files {
            assert!(is_planes(path) || !holds(bytes, NAME), "{}", path.display());
        }
        let ours = files.iter().filter(|(path, _)| !is_planes(path));
        let fingerprints = ours.filter(|(_, bytes)| holds(bytes, "token/(secret ")).count();
        let clear = files.iter().filter(|(path, bytes)| is_planes(path) && holds(bytes, NAME));
        assert!(fingerprints > 0 && clear.count() > 0, "the search looks in the wrong place");
    }

    /// Ends an agent and takes its log.
    fn end(&mut self, agent: Agent) {
        self.seen.push(agent.log());
        assert!(agent.interrupt().success());
    }

    fn finish(self) {
        self.scan();
        for text in &self.seen {
            assert!(!text.contains(NAME), "{text}");
        }
        assert!(self.seen.iter().any(|text| text.contains("token/(secret ")), "nothing was said");
    }
}

/// The fingerprint's digits in a text.
fn digits_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("token/(secret ")?;
    Some(rest.chars().take_while(char::is_ascii_hexdigit).collect())
}

/// Waits until the token is in sync; its digits.
fn in_sync(heard: &mut Heard, agent: &Agent) -> String {
    let mut digits = None;
    until("the token is in sync", agent, || {
        let status = heard.run(&["status"]);
        digits = digits_in(&status);
        status.lines().any(|line| line.contains("token/(secret") && line.contains("in sync"))
    });
    digits.unwrap()
}

/// Changes the live token by hand, as somebody does who has the name.
fn by_hand(heard: &mut Heard, from: &str, to: &str) {
    let live = heard.place.live(&format!("token/{NAME}")).unwrap();
    assert!(live.contains(NAME) && live.contains(from), "{live}");
    let file = heard.place.dir.path().join("drift.yaml");
    std::fs::write(&file, live.replace(from, to)).unwrap();
    let said = heard.run(&["plane", "set", file.to_str().unwrap()]);
    assert!(said.contains("has been updated"), "{said}");
}

fn live(heard: &Heard) -> String {
    heard.place.live(&format!("token/{NAME}")).unwrap_or_default()
}

#[test]
fn a_name_that_lets_in_is_never_told() {
    let mut heard = Heard::new("");
    heard.place.put("token.yaml", TOKEN);
    let first = heard.preview("desired-state");
    assert!(first.contains("+ token/(secret "), "{first}");
    heard.run(&["validate"]);

    // Made, and found by its digits.
    let agent = heard.place.agent();
    let digits = in_sync(&mut heard, &agent);
    assert_eq!(digits.len(), 16, "{digits}");
    heard.run(&["wait", &format!("token/{digits}"), "--timeout", "10s"]);
    assert!(live(&heard).contains("join_method: token"), "{}", live(&heard));
    let seen = heard.look(&digits);
    assert!(seen.contains(&format!("name: (secret {digits})")), "{seen}");
    assert!(
        seen.contains("create token/(secret ") && seen.contains("no token of that name"),
        "{seen}"
    );
    heard.scan();

    // Edited.
    let wider = TOKEN.replace("[Node]", "[Node, Kube]");
    let other = heard.place.dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("a.yaml"), ROLE).unwrap();
    std::fs::write(other.join("b.yaml"), &wider).unwrap();
    let diff = heard.preview("other");
    assert!(
        diff.contains(&format!("~ token/(secret {digits})")) && diff.contains("Kube"),
        "{diff}"
    );
    heard.place.put("token.yaml", &wider);
    until("the edit is live", &agent, || live(&heard).contains("- Kube"));
    in_sync(&mut heard, &agent);

    // Changed by hand, the join method too: put back. Removed by hand: made again.
    by_hand(&mut heard, "- Kube", "- Proxy");
    until("the drift is undone", &agent, || live(&heard).contains("- Kube"));
    in_sync(&mut heard, &agent);
    by_hand(
        &mut heard,
        "join_method: token",
        "join_method: iam\n  allow: [{aws_account: \"123456789012\"}]",
    );
    until("the method is put back", &agent, || live(&heard).contains("join_method: token"));
    in_sync(&mut heard, &agent);
    heard.run(&["plane", "rm", &format!("token/{digits}")]);
    until("the token is back", &agent, || !live(&heard).is_empty());
    in_sync(&mut heard, &agent);

    broken(&mut heard, &agent, &wider);
    in_sync(&mut heard, &agent);
    heard.look(&digits);
    heard.scan();
    heard.end(agent);

    // The method is changed while nobody runs, and changed back.
    let agent = after_a_restart(&mut heard, OPEN, "join_method: iam");
    heard.look(&digits);
    heard.scan();
    heard.end(agent);
    let agent = after_a_restart(&mut heard, TOKEN, "join_method: token");
    in_sync(&mut heard, &agent);
    heard.end(agent);

    // A restart does nothing; the file goes while nobody runs.
    let agent = heard.place.agent_with(&["-v", "--log-format", "json"]);
    in_sync(&mut heard, &agent);
    assert_eq!(heard.place.writes(), 0, "{:?}", heard.place.calls());
    heard.end(agent);
    heard.place.remove("token.yaml");
    let gone = heard.preview("desired-state");
    assert!(gone.contains(&format!("- token/(secret {digits})")), "{gone}");
    let agent = heard.place.agent_with(&["-vv", "--log-format", "json"]);
    until("it is deleted", &agent, || live(&heard).is_empty());
    until("and said so", &agent, || agent.log().contains("deleted token/(secret "));
    assert!(agent.log().contains(r#""resource":"token/(secret "#), "{}", agent.log());
    heard.run(&["status"]);
    heard.run(&["history"]);
    heard.end(agent);
    heard.finish();
}

/// Manifests with something wrong in them: the findings show source lines.
fn broken(heard: &mut Heard, agent: &Agent, good: &str) {
    let findings = [
        (good.replace("[Node, Kube]", "[Nodule]"), "K077"),
        (good.replace("name: hunter2", "nme: hunter2"), "M030"),
        (good.replace("name: hunter2", "name:\thunter2"), ""),
        (good.replace("name: hunter2", "name: [hunter2"), "M012"),
        (good.replace("name: hunter2", "name: \"hunter2"), "M0"),
        (good.replace("join_method: token", "join_method: [token]"), "M031"),
        (format!("{good}---\n{good}"), "M050"),
        (format!("{good}---\n{OPEN}"), "M050"),
    ];
    for (text, code) in findings {
        heard.place.put("token.yaml", &text);
        let said = heard.run(&["validate"]) + &heard.run(&["validate", "--format", "json"]);
        assert!(said.contains(code), "{text}\n{said}");
        heard.preview("desired-state");
    }
    until("the agent shows one", agent, || agent.log().contains("M050"));
    assert!(live(heard).contains("- Kube"), "a broken file touched something");
    heard.place.put("token.yaml", good);
}

/// Changes the file while nobody runs; the agent that brings it about.
fn after_a_restart(heard: &mut Heard, text: &str, until_live: &str) -> Agent {
    heard.place.put("token.yaml", text);
    let plan = heard.preview("desired-state");
    assert!(plan.contains("~ token/(secret "), "{plan}");
    let agent = heard.place.agent();
    until("the method is changed", &agent, || live(heard).contains(until_live));
    in_sync(heard, &agent);
    agent
}

/// Whoever reads the journal after a crash knows the fingerprint and nothing else.
#[test]
fn a_create_in_doubt_is_read_back_by_its_fingerprint() {
    let create = "/proto.AuthService/CreateTokenV2";
    let mut heard = Heard::new(&format!("faults = \"hold-after {create}\""));
    heard.place.put("token.yaml", TOKEN);
    let agent = heard.place.agent();
    until("the intent is on disk", &agent, || heard.run(&["history"]).contains("in doubt"));
    until("the plane has committed", &agent, || heard.place.calls().contains_key(create));
    heard.seen.push(agent.log());
    agent.kill();
    heard.scan();

    heard.place.configure("");
    let agent = heard.place.agent();
    let digits = in_sync(&mut heard, &agent);
    // The agent knows the outcome a moment before the disk does.
    let what = format!("token/{digits}");
    until("its outcome is on record", &agent, || {
        !heard.run(&["history", &what]).contains("in doubt")
    });
    assert!(heard.run(&["history", &what]).contains("create"));
    assert_eq!(heard.place.calls().get(create), None, "it was made twice");
    assert_eq!(hash_of(&heard.place), None);
    heard.place.remove("token.yaml");
    until("it is pruned", &agent, || live(&heard).is_empty());
    heard.end(agent);
    heard.finish();
}
