//! Manifests as people write them: findings at their places, the documentation's own examples,
//! and what tctl makes of the same files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use reconciler::kind::{self, canonical};
use reconciler::manifest::decode::{self, Cache, FINDINGS_PER_FILE_MAX, read_with_cache};
use reconciler::manifest::yaml::{self, Parsed, libyaml};
use reconciler::manifest::{Reading, Snapshot, Unreadable, codes, render, split};
use reconciler::model::{
    Cluster, Diagnostic, FieldPath, Findings, FingerprintKey, Severity, Value,
};

mod leaks;
mod limits;

const KEY: FingerprintKey = FingerprintKey([7; 32]);

fn read(snapshot: &Snapshot) -> Reading {
    decode::read(snapshot, &KEY)
}

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(below(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    assert!(!files.is_empty(), "nothing in {folder}");
    files
}

fn one(path: &str, bytes: &[u8]) -> Snapshot {
    Snapshot { files: BTreeMap::from([(path.into(), bytes.into())]), ..Snapshot::default() }
}

fn errors(reading: &Reading) -> Vec<&Diagnostic> {
    reading.findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

// ---- Findings written under the text they point at -------------------------------------------

/// A case begins with a line `#=== name`. Under each line stand its findings: carets below the
/// text (the `#` stands below the first column), `error[M012]: message`, ` (also LINE:COLUMN)`
/// for each other place and ` | remedy`. These lines are taken out before reading.
/// In the text `<TAB>`, `<NUL>`, `<FF>`, `<BOM>` and `<CUT>` (no newline here) stand for what an
/// editor would not keep.
#[derive(Debug)]
struct Case {
    name: String,
    text: String,
}

fn is_expectation(line: &str) -> bool {
    let rest = line.strip_prefix('#').unwrap_or(line).trim_start_matches(' ');
    let after = rest.trim_start_matches('^');
    after.len() < rest.len()
        && [" error[", " warning[", " note["].iter().any(|word| after.starts_with(word))
}

fn cases(text: &str) -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("#=== ") {
            out.push(Case { name: name.trim().into(), text: String::new() });
        } else if let Some(case) = out.last_mut() {
            case.text.push_str(line);
        }
    }
    out
}

fn source(case: &Case) -> Vec<u8> {
    let lines = case.text.split_inclusive('\n').filter(|line| !is_expectation(line));
    let text: String = lines.collect();
    let text = text.replace("<TAB>", "\t").replace("<NUL>", "\0").replace("<BOM>", "\u{FEFF}");
    let text = text.replace("<CUT>\n", "");
    text.split("<FF>").map(str::as_bytes).collect::<Vec<_>>().join(&0xFF_u8)
}

/// The case's text with what was found written under its lines.
fn annotate(case: &Case) -> (String, Vec<Diagnostic>) {
    let bytes = source(case);
    let snapshot = one("a.yaml", &bytes);
    let reading = read(&snapshot);
    let mut at_line: BTreeMap<usize, String> = BTreeMap::new();
    for finding in &reading.findings {
        let (line, column) = render::position(&bytes, finding.at.range().start);
        let (end_line, end) = render::position(&bytes, finding.at.range().end);
        let written = bytes.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
        let width = String::from_utf8_lossy(written).chars().count();
        let end = if end_line == line { end } else { width + 1 };
        let carets = "^".repeat(end.saturating_sub(column).max(1));
        let out = at_line.entry(line).or_default();
        if column > 1 {
            write!(out, "#{}", " ".repeat(column - 2)).unwrap();
        }
        let Diagnostic { severity, code, message, .. } = finding;
        write!(out, "{carets} {severity}[{code}]: {message}").unwrap();
        for (place, _) in &finding.also {
            let (line, column) = render::position(&bytes, place.range().start);
            write!(out, " (also {line}:{column})").unwrap();
        }
        match &finding.hint {
            Some(hint) => writeln!(out, " | {hint}").unwrap(),
            None => writeln!(out).unwrap(),
        }
    }
    let mut out = format!("#=== {}\n", case.name);
    let kept = case.text.split_inclusive('\n').filter(|line| !is_expectation(line));
    for (number, line) in kept.enumerate() {
        out.push_str(line);
        out.push_str(&at_line.remove(&(number + 1)).unwrap_or_default());
    }
    assert!(at_line.is_empty(), "{}: findings below the end: {at_line:?}", case.name);
    (out, reading.findings)
}

/// Compares every case with what is found; `UPDATE_EXPECT=1` writes the files anew.
fn check(path: &Path) -> Vec<Diagnostic> {
    let wanted = std::fs::read_to_string(path).unwrap();
    let (mut got, mut found) = (String::new(), Vec::new());
    for case in cases(&wanted) {
        let (text, findings) = annotate(&case);
        got.push_str(&text);
        found.extend(findings);
    }
    #[expect(clippy::disallowed_methods, reason = "as expect-test does")]
    let update = std::env::var("UPDATE_EXPECT").is_ok();
    if update {
        std::fs::write(path, &got).unwrap();
    } else if got != wanted {
        let diff = similar::TextDiff::from_lines(wanted.as_str(), got.as_str());
        panic!("{}:\n{}", path.display(), diff.unified_diff().header("wanted", "got"));
    }
    found
}

/// Findings that need more than a few lines of text.
fn findings_by_construction() -> Vec<Diagnostic> {
    let role = "kind: role\nversion: v7\nmetadata:\n  name: r\n";
    let mut snapshot = Snapshot::default();
    let mut add = |path: &str, text: String| {
        snapshot.files.insert(path.into(), text.into_bytes().into());
    };
    add("file.yaml", " ".repeat(split::FILE_BYTES_MAX + 1));
    add("document.yaml", format!("{role}---\n{}", "#\n".repeat(split::DOCUMENT_BYTES_MAX / 2 + 1)));
    add("many.yaml", "---\n".repeat(split::DOCUMENTS_MAX + 1));
    add("deep.yaml", format!("a: {}", "[".repeat(yaml::DEPTH_MAX + 1)));
    add(
        "block.yaml",
        (0..=yaml::DEPTH_MAX).fold(String::new(), |mut out, depth| {
            writeln!(out, "{}a:", " ".repeat(depth)).unwrap();
            out
        }),
    );
    let level =
        |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "));
    add("bomb.yaml", format!("a0: &a0 [x]\n{}", (1..9).map(level).collect::<String>()));
    add("findings.yaml", {
        let fields = (0..=FINDINGS_PER_FILE_MAX).map(|n| format!("f{n}: x\n"));
        format!("{role}{}", fields.collect::<String>())
    });
    add("children/eu/role.yaml", role.into());
    add("utf16.yaml", String::new());
    snapshot.files.insert("utf16.yaml".into(), b"\xFF\xFEk\0".as_slice().into());
    snapshot.unreadable.insert("locked.yaml".into(), Unreadable::refused("permission denied"));
    let reading = read(&snapshot);
    for finding in reading.findings.iter().filter(|it| it.code == codes::UNREADABLE) {
        assert!(finding.hint.is_some(), "{finding:?}");
    }
    let code_of = |path: &str| {
        let found = reading.findings.iter().find(|finding| &*finding.at.path == path);
        found.unwrap_or_else(|| panic!("nothing about {path}")).code
    };
    for (path, code) in [
        ("file.yaml", codes::FILE_TOO_LARGE),
        ("document.yaml", codes::DOCUMENT_TOO_LARGE),
        ("many.yaml", codes::TOO_MANY_DOCUMENTS),
        ("deep.yaml", codes::TOO_DEEP),
        ("block.yaml", codes::TOO_DEEP),
        ("bomb.yaml", codes::TOO_MANY_NODES),
        ("children/eu/role.yaml", codes::CHILD_FILE),
        ("utf16.yaml", codes::NOT_UTF8),
        ("locked.yaml", codes::UNREADABLE),
    ] {
        assert_eq!(code_of(path), code, "{path}");
        let unknown = reading.unknown.iter().any(|place| &*place.path == path);
        assert_eq!(unknown, code != codes::CHILD_FILE, "{path}");
    }
    reading.findings
}

#[test]
fn every_finding_stands_under_its_text_and_every_code_is_raised() {
    let mut found: Vec<Diagnostic> = Vec::new();
    for path in files("fixtures/manifests") {
        found.extend(check(&path));
    }
    found.extend(findings_by_construction());
    let raised: BTreeSet<_> = found.iter().map(|finding| finding.code).collect();
    let known: BTreeSet<_> = codes::CODES.iter().map(|rule| rule.code).collect();
    assert_eq!(known.len(), codes::CODES.len(), "a code stands twice");
    let of_kinds = |code: &&reconciler::model::Code| code.0.starts_with('K');
    let unknown: Vec<_> = raised.difference(&known).filter(|code| !of_kinds(code)).collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
    let silent: Vec<_> = known.difference(&raised).collect();
    assert!(silent.is_empty(), "raised by no fixture: {silent:?}");
    let dead_ends: Vec<_> = found.iter().filter(|it| it.hint.is_none()).collect();
    assert!(dead_ends.is_empty(), "without a way out: {dead_ends:#?}");
}

// ---- The documentation's own examples --------------------------------------------------------

#[test]
fn the_manifests_of_the_documentation_are_accepted_as_they_are() {
    let mut notes = BTreeSet::new();
    for path in files("data/seeds") {
        let reading = read(&one("seed.yaml", &std::fs::read(&path).unwrap()));
        let errors = errors(&reading);
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        assert!(reading.is_whole(), "{}", path.display());
        assert_eq!(reading.manifests.len(), 1, "{}", path.display());
        notes.extend(reading.findings.iter().map(|finding| finding.message.clone()));
    }
    for field in ["metadata.id", "metadata.revision", "status"] {
        let note = format!("`{field}` is set by the server and ignored here");
        assert!(notes.contains(&note), "{notes:#?}");
    }
    assert!(notes.iter().any(|note| note.contains("teleport.dev/origin")), "{notes:#?}");
}

#[test]
fn kinds_of_later_versions_are_named_as_such() {
    for path in files("data/seeds/later") {
        let reading = read(&one("seed.yaml", &std::fs::read(&path).unwrap()));
        let errors = errors(&reading);
        assert_eq!(errors.len(), 1, "{}: {errors:#?}", path.display());
        assert_eq!(errors[0].code, codes::KIND_UNKNOWN);
        assert!(
            errors[0].message.ends_with("is not managed by this version"),
            "{}",
            errors[0].message
        );
        assert!(!reading.is_whole() && reading.frozen.is_empty());
    }
}

// ---- What tctl makes of the same files -------------------------------------------------------

/// The rows named in the first column of the table in the module's documentation.
fn deviations() -> BTreeSet<String> {
    let docs = include_str!("../../src/manifest/mod.rs");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.filter_map(|row| row.split(" | ").next()).skip(1);
    let names = cells.filter_map(|cell| cell.split_once(": ").map(|(names, _)| names.to_owned()));
    names
        .flat_map(|names| names.split('`').skip(1).step_by(2).map(String::from).collect::<Vec<_>>())
        .collect()
}

/// How our reading of a row differs from tctl's.
fn difference(row: &serde_json::Value) -> Option<String> {
    let reading = read(&one("row.yaml", row["yaml"].as_str().unwrap().as_bytes()));
    let documents = row["documents"].as_array().unwrap();
    let complaint = documents
        .iter()
        .map(|document| &document["error"])
        .chain([&row["error"]])
        .find_map(serde_json::Value::as_str);
    let ours: Vec<String> = errors(&reading).iter().map(|error| error.message.clone()).collect();
    match (complaint, ours.is_empty()) {
        (Some(complaint), true) => return Some(format!("tctl refuses: {complaint}")),
        (None, false) => return Some(format!("tctl accepts; we say {ours:?}")),
        (Some(_), false) | (None, true) => {}
    }
    if complaint.is_none() && reading.manifests.len() != documents.len() {
        return Some(format!("{} documents, not {}", reading.manifests.len(), documents.len()));
    }
    for document in documents.iter().filter(|document| complaint.is_none() && document.is_object())
    {
        let kind = kind::find(document["kind"].as_str()?)?;
        let name = document["resource"]["metadata"]["name"].as_str().unwrap();
        let value = Value::from_serde(document["resource"].clone());
        let theirs = canonical::resource(kind, Cluster::Parent, name, value, &KEY);
        let Some(ours) = reading.manifests.get(&theirs.id) else {
            return Some(format!("no {}", theirs.id));
        };
        if ours.resource.canonical != theirs.canonical {
            return Some(format!(
                "\n  tctl {}\n  ours {}",
                theirs.canonical, ours.resource.canonical
            ));
        }
    }
    None
}

#[test]
fn a_file_means_what_it_means_to_tctl() {
    let rows = include_str!("../data/vectors/manifests.jsonl");
    let mut deviations = deviations();
    let (mut wrong, mut equal) = (String::new(), 0);
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let name = row["name"].as_str().unwrap();
        match (difference(&row), deviations.remove(name)) {
            (Some(how), false) => writeln!(wrong, "{name}: {how}").unwrap(),
            (None, true) => {
                writeln!(wrong, "{name}: in the table of deviations, but the same").unwrap();
            }
            (None, false) => equal += 1,
            (Some(_), true) => {}
        }
    }
    assert!(deviations.is_empty(), "no such rows: {deviations:?}");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(equal >= 75, "{equal} equal");
}

// ---- Readings --------------------------------------------------------------------------------

fn role(name: &str) -> String {
    format!("kind: role\nversion: v7\nmetadata:\n  name: {name}\n")
}

#[test]
fn what_is_in_doubt_is_frozen_and_what_is_unreadable_is_unknown() {
    let text = [
        role("good"),
        format!("{}nonsense: 1\n", role("broken")),
        role("twice"),
        "kind: role\nversion: v7\nmetadata: {name: [}\n".into(),
        role("good-too"),
        role("twice"),
        "kind: role\nversion: v7\n".into(),
    ];
    let bytes = text.join("---\n");
    let reading = read(&one("a.yaml", bytes.as_bytes()));
    let names: Vec<_> = reading.manifests.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["role/good", "role/good-too"]);
    let frozen: Vec<_> = reading.frozen.keys().map(ToString::to_string).collect();
    assert_eq!(frozen, ["role/broken", "role/twice"]);
    assert_eq!(reading.unknown.len(), 2, "{:?}", reading.unknown);
    assert!(!reading.is_whole());
    let twice = reading.findings.iter().find(|f| f.code == codes::DUPLICATE_RESOURCE).unwrap();
    assert_eq!(render::position(bytes.as_bytes(), twice.at.range().start).0, 29);
    assert_eq!(render::position(bytes.as_bytes(), twice.also[0].0.range().start).0, 15);
}

#[test]
fn a_third_declaration_does_not_bring_a_duplicate_back() {
    let bytes = [role("r"), role("r"), role("r")].join("---\n");
    let reading = read(&one("a.yaml", bytes.as_bytes()));
    assert!(reading.manifests.is_empty());
    assert_eq!(reading.frozen.len(), 1);
    assert_eq!(errors(&reading).len(), 2);
}

#[test]
fn a_broken_document_freezes_nothing_that_it_may_not_mean() {
    let bytes = "kind: role\nversion: v7\nmetadata:\n  name: a\n  name: b\n";
    let reading = read(&one("a.yaml", bytes.as_bytes()));
    assert!(reading.frozen.is_empty() && reading.unknown.len() == 1);
}

#[test]
fn a_cache_and_threads_change_nothing() {
    let mut snapshot = Snapshot::default();
    for n in 0..600 {
        let text = if n % 7 == 0 { "kind: role\n".into() } else { role(&format!("r{}", n % 500)) };
        snapshot.files.insert(format!("{n:03}.yaml").into(), text.into_bytes().into());
    }
    let mut cache = Cache::new(&KEY);
    let shown = |reading: &Reading| format!("{reading:?}");
    let cold = shown(&read_with_cache(&snapshot, &mut cache));
    assert_eq!(shown(&read(&snapshot)), cold);
    assert_eq!(shown(&read_with_cache(&snapshot, &mut cache)), cold);
    snapshot.files.insert("001.yaml".into(), role("changed").into_bytes().into());
    snapshot.files.remove("002.yaml");
    let warm = read_with_cache(&snapshot, &mut cache);
    assert_eq!(shown(&read(&snapshot)), shown(&warm));
    assert_ne!(shown(&warm), cold);
    assert_eq!(warm.digest, Some(snapshot.digest()));
}

#[test]
fn what_is_known_already_is_held_once_and_changes_nothing() {
    let text = [role("a"), role("b"), role("c")].join("---\n");
    let snapshot = one("a.yaml", text.as_bytes());
    let alone = read(&snapshot);
    let texts: BTreeMap<&str, Arc<str>> = alone
        .manifests
        .iter()
        .map(|(id, manifest)| {
            let text = manifest.resource.canonical.to_string();
            let text = if &*id.name == "b" { text.replace("role", "rule") } else { text };
            (&*id.name, text.into())
        })
        .filter(|(name, _)| *name != "c")
        .collect();
    let beside = decode::read_beside(&snapshot, &KEY, |id| texts.get(&*id.name));
    assert_eq!(beside.manifests, alone.manifests);
    assert_eq!((beside.digest, &beside.findings), (alone.digest, &alone.findings));
    let shared = beside.manifests.iter().filter(|(id, manifest)| {
        let text = texts.get(&*id.name);
        text.is_some_and(|text| Arc::ptr_eq(text, &manifest.resource.canonical))
    });
    assert_eq!(shared.map(|(id, _)| &*id.name).collect::<Vec<_>>(), ["a"]);
}

/// What YAML's readers refuse and JSON's write: a character beyond sixteen bits.
#[test]
fn json_is_read_as_json() {
    let text = r#"{"kind":"role","version":"v7","metadata":{"name":"r","description":"\ud83d\ude80"},"spec":{}}"#;
    let reading = read(&one("a.json", text.as_bytes()));
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    let manifest = reading.manifests.values().next().unwrap();
    assert!(manifest.resource.canonical.contains("\"description\":\"\u{1f680}\""));
    // Half of one is none, in whichever language.
    let half = text.replace("\\ude80", "");
    assert!(read(&one("a.json", half.as_bytes())).has_errors());
}

/// `cargo test --release --test library -- --ignored --nocapture reading_ten`
#[test]
#[ignore = "a measurement, for release builds"]
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]
fn reading_ten_thousand_documents() {
    let label = |n: usize| format!("    label-{n}: value-of-the-label-{n}\n");
    let labels: String = (0..15).map(label).collect();
    for (name, extra) in [("plain", ""), ("not plain", "  description: [\"x\"]\n")] {
        let extra = extra
            .replace(['[', ']'], "")
            .replace("\"x\"", if extra.is_empty() { "" } else { "\"\\t\"" });
        let document = |n: usize| {
            format!(
                "kind: kube_cluster\nversion: v3\nmetadata:\n  name: k{n}\n{extra}  labels:\n{labels}spec:\n  dynamic_labels:\n    region:\n      period: 24h\n      command:\n      - python3\n      - get_region.py\n"
            )
        };
        let all: Vec<String> = (0..10_000).map(document).collect();
        let snapshot = one("all.yaml", all.join("---\n").as_bytes());
        let start = std::time::Instant::now();
        let reading = read(&snapshot);
        println!("{name}: {:?} for {} bytes each", start.elapsed(), all[0].len());
        assert_eq!(reading.manifests.len(), 10_000);
    }
}

#[test]
fn directives_are_read_and_not_sent() {
    use reconciler::manifest::Adopt;
    let text = "kind: role\nversion: v7\nmetadata:\n  name: r\n  labels:\n    reconciler/prune: \"false\"\n    \
                reconciler/adopt: never\n    reconciler/paused-until: 2030-01-01T00:00:00Z\n    env: x\n";
    let reading = read(&one("a.yaml", text.as_bytes()));
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    let manifest = reading.manifests.values().next().unwrap();
    assert!(manifest.directives.keep);
    assert_eq!(manifest.directives.adopt, Adopt::Never);
    assert_eq!(manifest.directives.paused_until.unwrap().to_string(), "2030-01-01T00:00:00Z");
    assert!(!manifest.resource.canonical.contains("reconciler/"));
    assert!(manifest.resource.canonical.contains("\"env\":\"x\""));
}

#[test]
fn a_field_is_found_again() {
    let text = format!(
        "{}---\n{}spec:\n  allow:\n    logins:\n    - root\n    - ops\n",
        role("a"),
        role("b")
    );
    let reading = read(&one("a.yaml", text.as_bytes()));
    let manifest = reading.manifests.values().nth(1).unwrap();
    let at = |path: &FieldPath| {
        let place = render::locate(text.as_bytes(), &manifest.at, path).unwrap();
        text[place.range()].to_owned()
    };
    let logins = FieldPath::default().key("spec").key("allow").key("logins");
    assert_eq!(at(&logins.index(1)), "ops");
    assert_eq!(at(&logins), "logins:\n    - root\n    - ops");
    assert_eq!(at(&logins.index(7)), "logins:\n    - root\n    - ops");
    assert_eq!(at(&FieldPath::default().key("metadata").key("name")), "name: b");
}

// ---- Showing ---------------------------------------------------------------------------------

/// In every test below, no output may hold this.
const SECRET: &str = "hunter2swordfish";

#[test]
fn findings_are_shown_with_their_line_underlined() {
    let text = format!("{}nonsense: 1\nSpec:\n  allow: {{}}\n---\n{}", role("r"), role("r"));
    let snapshot = one("roles/dev.yaml", text.as_bytes());
    let reading = read(&snapshot);
    expect_test::expect_file!["../fixtures/shown/plain.txt"].assert_eq(&render::text(
        &reading.findings,
        &snapshot,
        false,
    ));
    let lines: Vec<_> = reading.findings.iter().map(|f| render::line(f, &snapshot)).collect();
    assert_eq!(lines[0], "roles/dev.yaml:5:1: error[M030]: there is no field `nonsense`");
    assert!(render::text(&reading.findings, &snapshot, true).contains("\u{1b}["));
    let json = serde_json::to_value(render::json(&reading.findings, &snapshot)).unwrap();
    assert_eq!(json[0]["line"], 5);
    assert_eq!(json[0]["end_column"], 9);
    assert_eq!(json[2]["also"][0]["at"]["line"], 4);
}

#[test]
fn no_finding_shows_a_secret() {
    let head = "kind: trusted_cluster\nversion: v2\nmetadata: {name: root.example.com}\n";
    for rest in [
        "spec: {token: SECRET, nonsense: 1}\n",
        "spec: {tokn: SECRET}\n",
        "spec: {Token: SECRET}\n",
        "spec: {token: [SECRET], enabled: maybe}\n",
        "spec: {token: {SECRET: SECRET}}\n",
        "spec: {token: file://SECRET}\n",
        "spec: {token: a, token: SECRET}\n",
        "spec: {token: SECRET, enabled: [}\n",
        "spec:\n  token: |\n    SECRET\n   SECRET\n",
        "spec:\n  token: >\n    x\n    SECRET\n  enabled: [\n",
        "spec:\n  token: \"SECRET\n",
        "spec:\n  'token' : 'SECRET' 'SECRET'\n",
        "spec:\n<TAB>token: SECRET\n",
        "spec:\n  token: \"\\q SECRET\"\n",
        "spec:\n  token: *SECRET\n",
        "spec:\n  token: &SECRET\n  nonsense: 1\n",
        "spec: {nonsense: 1, token: &SECRET x}\n",
        "spec:\n  token: !!int SECRET\n",
        "spec:\n  token: &x SECRET\n  enabled: *x\n",
        "spec:\n  token: SECRET\u{7}\n",
    ] {
        let rest = rest.replace("SECRET", SECRET).replace("<TAB>", "\t");
        let text = format!("{head}{rest}");
        let snapshot = one("tc.yaml", text.as_bytes());
        let reading = read(&snapshot);
        assert!(!errors(&reading).is_empty(), "{text}");
        let shown = render::text(&reading.findings, &snapshot, false);
        assert!(!shown.contains(SECRET), "{text}\n{shown}");
        let json = serde_json::to_string(&render::json(&reading.findings, &snapshot)).unwrap();
        assert!(!json.contains(SECRET), "{text}\n{json}");
    }
    let number = format!("{head}spec: {{token: 123456789012}}\n");
    let snapshot = one("tc.yaml", number.as_bytes());
    let findings = read(&snapshot).findings;
    assert_eq!(findings[0].code, codes::NEEDS_QUOTES);
    assert!(!render::text(&findings, &snapshot, false).contains("123456789012"));
    let config = format!(
        "kind: kube_cluster\nversion: v3\nmetadata: {{name: k}}\nspec:\n  kubeconfig: {SECRET}_\n"
    );
    let snapshot = one("k.yaml", config.as_bytes());
    let findings = read(&snapshot).findings;
    assert_eq!(findings[0].code, codes::BAD_BASE64);
    assert!(!render::text(&findings, &snapshot, false).contains(SECRET));
}

// ---- Anything at all -------------------------------------------------------------------------

/// Reads and shows; checks what holds for every input.
fn survives(bytes: &[u8]) -> Reading {
    let snapshot = one("a.yaml", bytes);
    let reading = read(&snapshot);
    assert_eq!(format!("{reading:?}"), format!("{:?}", read(&snapshot)));
    let inside =
        |at: &reconciler::model::Place| at.start <= at.end && at.range().end <= bytes.len();
    for finding in &reading.findings {
        assert!(inside(&finding.at), "{finding:?}");
        assert!(finding.also.iter().all(|(at, _)| inside(at)), "{finding:?}");
    }
    assert!(reading.unknown.iter().chain(reading.frozen.values()).all(inside));
    let in_doubt = !reading.unknown.is_empty() || !reading.frozen.is_empty();
    assert_eq!(in_doubt, !errors(&reading).is_empty(), "{reading:?}");
    render::text(&reading.findings, &snapshot, false);
    render::json(&reading.findings, &snapshot);
    reading
}

fn corpus() -> Vec<String> {
    let rows = include_str!("../data/vectors/manifests.jsonl");
    let yaml = |row: &str| {
        serde_json::from_str::<serde_json::Value>(row).unwrap()["yaml"].as_str().unwrap().to_owned()
    };
    let mut out: Vec<String> = rows.lines().map(yaml).collect();
    out.extend(files("data/seeds").iter().map(|path| std::fs::read_to_string(path).unwrap()));
    out
}

/// Replaces a few bytes by awkward ones.
fn damage(text: &str, edits: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    const AWKWARD: &[u8] = b" \t\n\r:-#[]{}&*!|>'\"%@`,?<~0xy\\\x00\xFF\xC3.";
    let mut bytes = text.as_bytes().to_vec();
    for (at, what, how) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        let byte = AWKWARD[usize::from(*what) % AWKWARD.len()];
        match how % 3 {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn damaged_manifests_never_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..4),
    ) {
        let corpus = corpus();
        survives(&damage(&corpus[which.index(corpus.len())], &edits));
    }

    #[test]
    fn readers_agree_on_documents_that_only_one_reads(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 0..4),
    ) {
        let corpus = corpus();
        let bytes = damage(&corpus[which.index(corpus.len())], &edits);
        if let Ok(text) = String::from_utf8(bytes) && libyaml::is_plain(&text) {
            let mut found = Vec::new();
            let mut findings = Findings { path: Arc::from("a.yaml"), out: &mut found };
            if let Parsed::Tree(node) = yaml::parse(&text, 0, &mut findings) {
                // What is reported is refused anyway.
                prop_assert!(!found.is_empty() || libyaml::agrees(&text, 0, &node).is_ok(), "{text}");
            }
        }
    }
}
