//! Keeps the house in order: which folder may know which, how long a file is, where kinds are named.

#![expect(clippy::expect_used, clippy::string_slice, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Folder (or file) directly under `src/`, and the modules of this crate that it may name.
/// The README's picture is this table.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &[]),
    ("labels", &["model", "kind", "manifest", "live"]),
    ("kind", &["model", "wire", "manifest"]),
    ("manifest", &["model", "kind"]),
    ("live", &["model"]),
    ("journal", &["model", "kind", "labels"]),
    ("plan", &["model", "kind", "labels", "manifest", "live", "journal"]),
    ("port", &["model", "kind", "labels", "manifest", "live", "journal", "plan"]),
    ("engine", &["model", "kind", "labels", "manifest", "live", "journal", "plan", "port"]),
    ("plane", &["model", "wire"]),
    (
        "sim",
        &[
            "model", "wire", "kind", "labels", "manifest", "live", "journal", "plan", "port",
            "engine", "plane",
        ],
    ),
    (
        "adapter",
        &["model", "wire", "kind", "labels", "manifest", "live", "journal", "plan", "port"],
    ),
    ("config", &["model", "kind", "labels", "adapter"]),
    (
        "driver",
        &["model", "kind", "manifest", "live", "journal", "plan", "port", "engine", "adapter"],
    ),
    (
        "cli",
        &[
            "model", "wire", "kind", "labels", "manifest", "live", "journal", "plan", "port",
            "engine", "adapter", "plane", "config", "driver",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

/// What the pure folders never touch: async, clocks, files, sockets.
const PURE: &[&str] =
    &["model", "wire", "kind", "labels", "manifest", "live", "journal", "plan", "engine", "sim"];
const IMPURE: &[&str] = &[
    "tokio::",
    "tonic::",
    "rusqlite::",
    "notify::",
    "std::fs::",
    "std::net::",
    "std::process::",
    "Instant::now",
    "SystemTime::now",
    "std::env::",
];
/// `wire/codec.rs` is the frame of gRPC messages; it is tonic's by nature.
const IMPURE_ALLOWED: &[(&str, &str)] = &[("wire/codec.rs", "tonic::")];

/// Longest file without a reason in its header.
const LINES_MAX: usize = 400;
/// The words that open such a reason.
const LONG_REASON: &str = "Long because";

type Sources = BTreeMap<String, String>;

fn sources() -> Sources {
    fn walk(dir: &Path, base: &Path, out: &mut Sources) {
        for entry in std::fs::read_dir(dir).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                walk(&path, base, out);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let name = path.strip_prefix(base).expect("below src").display().to_string();
                out.insert(name, std::fs::read_to_string(&path).expect("UTF-8"));
            }
        }
    }
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut out = Sources::new();
    walk(&base, &base, &mut out);
    out
}

/// The code without comments and string contents; line breaks stay.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let code = line.trim_start();
        if !code.starts_with("//") {
            out.push_str(line.split(" // ").next().unwrap_or(""));
        }
        out.push('\n');
    }
    out
}

/// First names after each `crate::`, groups included: `crate::{a, b::C}` gives `a` and `b`.
fn named_modules(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code = bare(text);
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            let mut at_start = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => at_start = true,
                    c if depth == 0 && at_start && (c.is_alphanumeric() || c == '_') => {
                        word.push(c);
                    }
                    c if depth == 0 && !c.is_whitespace() => at_start = false,
                    _ => {}
                }
                if !(word.is_empty() || c.is_alphanumeric() || c == '_') {
                    found.insert(std::mem::take(&mut word));
                    at_start = c == ',';
                }
            }
            if !word.is_empty() {
                found.insert(word);
            }
        } else {
            let word: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(word);
        }
    }
    found
}

fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

fn border_violations(sources: &Sources) -> Vec<String> {
    let table: BTreeMap<&str, &[&str]> = MAY_NAME.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources {
        let folder = top(path);
        let Some(allowed) = table.get(folder) else {
            wrong.push(format!("{path}: `{folder}` has no row in MAY_NAME"));
            continue;
        };
        for module in named_modules(text) {
            if module != folder
                && table.contains_key(module.as_str())
                && !allowed.contains(&module.as_str())
            {
                wrong.push(format!("{path}: `{folder}` may not name `{module}`"));
            }
        }
        if PURE.contains(&folder) {
            let code = bare(text);
            for word in IMPURE {
                if code.contains(word) && !IMPURE_ALLOWED.contains(&(path.as_str(), word)) {
                    wrong.push(format!("{path}: a pure folder uses `{word}`"));
                }
            }
        }
    }
    wrong
}

#[test]
fn folders_name_only_what_they_may() {
    let wrong = border_violations(&sources());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_planted_violation_is_caught() {
    for (path, text, expected) in [
        ("plan/planted.rs", "use crate::adapter::clock::SystemClock;\n", "may not name `adapter`"),
        ("plane/planted.rs", "use crate::{model::Now, plan::Plan};\n", "may not name `plan`"),
        ("engine/planted.rs", "fn f() { crate::driver::go() }\n", "may not name `driver`"),
        ("engine/planted.rs", "use tokio::time::sleep;\n", "uses `tokio::`"),
        ("model/planted.rs", "fn f() { let _ = std::fs::read(\"x\"); }\n", "uses `std::fs::`"),
        ("attic/planted.rs", "", "no row in MAY_NAME"),
    ] {
        let mut tree = sources();
        tree.insert(path.to_owned(), text.to_owned());
        let wrong = border_violations(&tree);
        assert_eq!(wrong.len(), 1, "{path}: {wrong:?}");
        assert!(wrong[0].contains(expected), "{path}: {wrong:?}");
    }
}

#[test]
fn kinds_are_named_in_their_own_files_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        // The plane is a second implementation of Teleport's rules and names them itself; the
        // simulator writes manifests, and the configuration has a default that names a kind.
        if ["kind", "plane", "sim", "config"].contains(&top(&path)) {
            continue;
        }
        let (code, _tests) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for kind in reconciler::kind::KINDS {
                if line.contains(&format!("\"{}\"", kind.name)) {
                    wrong.push(format!("{path}:{}: names the kind {}", number + 1, kind.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_open_with_a_purpose() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            wrong.push(format!("{path}: does not open with `//!`"));
        }
        let lines = text.lines().count();
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if lines > LINES_MAX && !header.contains(LONG_REASON) {
            wrong.push(format!("{path}: {lines} lines and no `{LONG_REASON}` in its header"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
