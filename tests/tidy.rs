//! Keeps the house in order: which folder may know which, what the pure ones may not touch, how
//! long a file is, where kinds are named. The code is read by a parser, so that no spelling of a
//! path gets past.

#![expect(clippy::expect_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};

/// The parts of `src/`, from the ground up, and the parts that each may name: only such as stand
/// above it here, so that there are no circles. A part is a folder or file directly under `src/`,
/// or a module inside of one that others may name without the rest of it.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &[]),
    ("manifest::codes", &["model"]),
    ("manifest::yaml", &["model", "manifest::codes"]),
    ("kind", &["model", "wire", "manifest::codes", "manifest::yaml"]),
    ("manifest", &["model", "manifest::codes", "manifest::yaml", "kind"]),
    ("live", &["model"]),
    ("labels", &["model", "kind", "manifest", "live"]),
    ("journal", &["model", "kind", "labels"]),
    ("plan", &["model", "kind", "manifest", "live", "labels", "journal"]),
    ("port", &["model", "kind", "manifest", "live", "labels", "journal", "plan"]),
    ("engine", &["model", "kind", "manifest", "live", "labels", "journal", "plan", "port"]),
    ("plane", &["model", "wire"]),
    (
        "sim",
        &[
            "model", "wire", "kind", "manifest", "live", "labels", "journal", "plan", "port",
            "engine", "plane",
        ],
    ),
    ("adapter", &["model", "wire", "manifest", "labels", "journal", "port"]),
    ("driver", &["model", "kind", "manifest", "live", "journal", "port", "engine", "adapter"]),
    ("config", &["model", "kind", "labels", "adapter"]),
    (
        "cli",
        &[
            "model", "wire", "kind", "manifest", "live", "labels", "journal", "plan", "port",
            "engine", "plane", "adapter", "driver", "config",
        ],
    ),
    ("main", &[]),
];

/// What the pure parts never touch: async, clocks, files, sockets, threads, chance.
const PURE: &[&str] = &[
    "model",
    "wire",
    "manifest::codes",
    "manifest::yaml",
    "kind",
    "manifest",
    "live",
    "labels",
    "journal",
    "plan",
    "engine",
    "sim",
];
const IMPURE: &[&str] = &[
    "tokio",
    "tonic",
    "hyper",
    "rustls",
    "reqwest",
    "rusqlite",
    "notify",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "fastrand::u64",
    "fastrand::seed",
];
/// What a pure part touches all the same, each for a reason that its header gives.
const IMPURE_ALLOWED: &[(&str, &str)] = &[
    // The frame of gRPC messages is tonic's by nature.
    ("wire/codec.rs", "tonic"),
    // Work on many items is shared between threads; what comes of it does not depend on them.
    ("model/parallel.rs", "std::thread"),
];
/// Pure parts that implement a port, whose calls are async, without a runtime.
const ASYNC_ALLOWED: &[&str] = &["sim"];

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

/// The module that a file is: `plan/render/text.rs` is `plan::render::text`.
fn module_of(path: &str) -> Vec<String> {
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    stem.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// The part that a module belongs to.
fn part_of(module: &[String]) -> Option<&'static str> {
    let module = format!("{}::", module.join("::"));
    let parts = MAY_NAME.iter().map(|(part, _)| *part);
    parts.filter(|part| module.starts_with(&format!("{part}::"))).max_by_key(|part| part.len())
}

/// What one file names, by whole paths, and what text it holds.
#[derive(Default)]
struct Names {
    /// The module that is looked at, inline ones included.
    module: Vec<String>,
    /// Of this crate, without `crate`.
    inner: BTreeSet<Vec<String>>,
    /// Of others, as written.
    outer: BTreeSet<String>,
    /// Names that `use` gave, for what stands behind them.
    aliases: BTreeMap<String, Vec<String>>,
    is_async: bool,
    /// Outside of tests.
    texts: BTreeSet<String>,
}

impl Names {
    fn of(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).expect("it compiles, so it can be parsed");
        let mut names = Self { module: module_of(path), ..Self::default() };
        names.visit_file(&file);
        names
    }

    fn add(&mut self, path: &[String]) {
        let (mut base, mut rest) = (None, path);
        while let Some((first, tail)) = rest.split_first() {
            match first.as_str() {
                "crate" => base = Some(Vec::new()),
                "self" => base = Some(base.unwrap_or_else(|| self.module.clone())),
                "super" => {
                    let mut outer = base.unwrap_or_else(|| self.module.clone());
                    outer.pop();
                    base = Some(outer);
                }
                _ => break,
            }
            rest = tail;
        }
        if let Some(mut whole) = base {
            whole.extend_from_slice(rest);
            self.inner.insert(whole);
            return;
        }
        let alias = rest.first().and_then(|first| self.aliases.get(first));
        let whole = match (alias, rest) {
            (Some(alias), [_, tail @ ..]) => [alias.as_slice(), tail].concat(),
            (Some(_) | None, _) => rest.to_vec(),
        };
        self.outer.insert(whole.join("::"));
    }

    fn add_use(&mut self, tree: &syn::UseTree, path: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(it) => {
                path.push(it.ident.to_string());
                self.add_use(&it.tree, path);
                path.pop();
            }
            syn::UseTree::Group(it) => {
                for tree in &it.items {
                    self.add_use(tree, path);
                }
            }
            syn::UseTree::Name(it) => self.add_named(path, &it.ident, &it.ident),
            syn::UseTree::Rename(it) => self.add_named(path, &it.ident, &it.rename),
            syn::UseTree::Glob(_) => self.add(path),
        }
    }

    fn add_named(&mut self, path: &[String], name: &syn::Ident, alias: &syn::Ident) {
        let mut whole = path.to_vec();
        if name != "self" {
            whole.push(name.to_string());
        }
        self.add(&whole);
        let alias = if alias == "self" { path.last().cloned() } else { Some(alias.to_string()) };
        self.aliases.extend(alias.map(|alias| (alias, whole)));
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        self.add(&parts);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        // The parser knows nothing of what stands in there: paths are put together from words.
        let text = mac.tokens.to_string().replace(" :: ", "::");
        for word in text.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))) {
            if word.contains("::") {
                let parts: Vec<String> = word.split("::").map(str::to_owned).collect();
                self.add(&parts);
            }
        }
        self.texts.extend(text.split('"').map(str::to_owned));
        visit::visit_macro(self, mac);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.texts.insert(text.value());
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|it| {
            it.path().is_ident("cfg")
                && it.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
        });
        let texts = self.texts.clone();
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        if is_test {
            self.texts = texts;
        }
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.is_async |= signature.asyncness.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        self.is_async = true;
        visit::visit_expr_await(self, expr);
    }

    fn visit_expr_async(&mut self, expr: &'ast syn::ExprAsync) {
        self.is_async = true;
        visit::visit_expr_async(self, expr);
    }

    fn visit_attribute(&mut self, _comments_and_lints: &'ast syn::Attribute) {}
}

/// What each file names.
type All = BTreeMap<String, Names>;

fn names() -> All {
    sources().into_iter().map(|(path, text)| (path.clone(), Names::of(&path, &text))).collect()
}

/// Which part names which, with one place each.
fn borders(all: &All) -> BTreeMap<(&'static str, &'static str), String> {
    let mut found = BTreeMap::new();
    for (path, names) in all {
        let Some(part) = part_of(&module_of(path)) else { continue };
        for named in &names.inner {
            if let Some(other) = part_of(named).filter(|other| *other != part) {
                found.entry((part, other)).or_insert_with(|| path.clone());
            }
        }
    }
    found
}

fn violations(all: &All) -> Vec<String> {
    let mut wrong = Vec::new();
    for path in all.keys().filter(|path| *path != "lib.rs") {
        if part_of(&module_of(path)).is_none() {
            wrong.push(format!("{path}: it has no row in MAY_NAME"));
        }
    }
    for ((part, other), path) in borders(all) {
        let row = MAY_NAME.iter().find(|(name, _)| *name == part);
        if !row.is_some_and(|(_, allowed)| allowed.contains(&other)) {
            wrong.push(format!("{path}: `{part}` may not name `{other}`"));
        }
    }
    for (path, names) in all {
        let Some(part) = part_of(&module_of(path)).filter(|part| PURE.contains(part)) else {
            continue;
        };
        if names.is_async && !ASYNC_ALLOWED.contains(&part) {
            wrong.push(format!("{path}: a pure part is async"));
        }
        for word in IMPURE {
            let is_named = |name: &String| name == word || name.starts_with(&format!("{word}::"));
            if names.outer.iter().any(is_named) && !IMPURE_ALLOWED.contains(&(path.as_str(), word))
            {
                wrong.push(format!("{path}: a pure part uses `{word}`"));
            }
        }
    }
    wrong
}

#[test]
fn parts_name_only_what_they_may() {
    let wrong = violations(&names());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_circles_and_no_permit_that_nobody_uses() {
    let used = borders(&names());
    let mut above: Vec<&str> = Vec::new();
    for (part, allowed) in MAY_NAME {
        for other in *allowed {
            assert!(above.contains(other), "`{part}` names `{other}`, which stands below it");
            assert!(used.contains_key(&(*part, *other)), "`{part}` does not name `{other}`");
        }
        above.push(part);
    }
}

#[test]
fn a_planted_violation_is_caught() {
    let mut all = names();
    for (path, text, expected) in [
        ("plan/planted.rs", "use crate::adapter::clock::SystemClock;", "may not name `adapter`"),
        ("plane/planted.rs", "use crate::{model::Now, plan::Plan};", "may not name `plan`"),
        ("plane/planted.rs", "use super::super::plan as p;", "may not name `plan`"),
        ("engine/planted.rs", "fn f() { crate::driver::go() }", "may not name `driver`"),
        ("engine/planted.rs", "fn f() { g!(a, crate::driver::go()) }", "may not name `driver`"),
        ("live/planted.rs", "use crate::manifest::Reading;", "may not name `manifest`"),
        ("engine/planted.rs", "use tokio::time::sleep;", "uses `tokio`"),
        ("engine/planted.rs", "async fn f() {}", "is async"),
        ("model/planted.rs", "fn f() { let _ = std::fs::read(\"x\"); }", "uses `std::fs`"),
        ("model/planted.rs", "use std::fs; fn f() { fs::read(\"x\"); }", "uses `std::fs`"),
        ("model/planted.rs", "use std::{env, fmt};", "uses `std::env`"),
        ("plan/planted.rs", "use std::time as t; fn f() { t::Instant::now(); }", "Instant"),
        ("attic/planted.rs", "", "no row in MAY_NAME"),
    ] {
        all.insert(path.to_owned(), Names::of(path, text));
        let wrong = violations(&all);
        all.remove(path);
        assert_eq!(wrong.len(), 1, "{path}: {wrong:?}");
        assert!(wrong.iter().any(|it| it.contains(expected)), "{path}: {wrong:?}");
    }
}

/// Where a kind's name may stand: in files of kinds (whose fields have the same words), in the
/// plane (a second implementation of Teleport's rules), in the simulator, which writes manifests,
/// as the name of an origin, and as a default of the configuration.
fn may_name_kind(path: &str, kind: &str) -> bool {
    let is_kinds_own = |of: &&reconciler::kind::Kind| {
        let own = format!("kind/{}", of.name);
        path == format!("{own}.rs") || path.starts_with(&format!("{own}/"))
    };
    ["plane/", "sim/"].iter().any(|free| path.starts_with(free))
        || reconciler::kind::KINDS.iter().any(is_kinds_own)
        || [("config/read.rs", "workload_cluster"), ("kind/mod.rs", "bot")].contains(&(path, kind))
}

#[test]
fn kinds_are_named_in_their_own_files_only() {
    let mut wrong = Vec::new();
    for (path, names) in names() {
        for kind in reconciler::kind::KINDS {
            let name = kind.name.as_str();
            if names.texts.contains(name) && !may_name_kind(&path, name) {
                wrong.push(format!("{path}: names the kind {name}"));
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
