//! From TOML with places to [`Config`]. All findings at once.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::control_plane::Draft;
use super::{Config, ConfigError, Finding, kubernetes};
use crate::adapter::files;
use crate::kind;
use crate::model::{KindName, duration};

/// Tables and keys of this version. A table's own line has no key.
const KEYS: &[(&str, &[&str])] = &[
    ("agent", &["name"]),
    ("source", &["path", "include", "exclude", "settle", "resync"]),
    (
        "control_plane",
        &[
            "kind",
            "provision",
            "lag",
            "faults",
            "address",
            "identity_file",
            "certificate",
            "key",
            "ca",
            "ca_file",
        ],
    ),
    ("kubernetes", kubernetes::KEYS),
    ("workload_clusters", &["poll", "timeout"]),
    ("safety", &["max_delete_percent", "max_delete_free", "confirm", "prune_delay"]),
    ("state", &["path"]),
    ("secrets", &["dir", "roots"]),
];

/// Keys that later versions know. Silence about them would look like obedience.
const LATER: &[(&str, &[&str])] = &[("http", &[]), ("workload_clusters", &["children"])];

/// Longest `agent.name`, in bytes: it becomes the value of a label.
const NAME_MAX: usize = 64;

/// Shortest time between two polls or resyncs; below it the agent would do nothing else.
const PERIOD_MIN: Duration = Duration::from_millis(100);

/// No path below the source begins like this, so a pattern that does would leave the source empty.
const OUTSIDE: &[&str] = &["./", "../", "/"];

/// Edits by which a typed word may differ from the one that is suggested.
const EDITS_MAX: usize = 2;

pub(super) fn default_confirm() -> Vec<KindName> {
    kind::find("workload_cluster").map(|kind| kind.name).into_iter().collect()
}

pub(super) fn read(text: &str, file: &Path) -> Result<Config, ConfigError> {
    let (findings, warnings) = (Vec::new(), Vec::new());
    let mut reader = Reader { text, file, findings, warnings, draft: Draft::default() };
    let mut config = Config::default();
    match DeTable::parse(text) {
        Ok(root) => {
            reader.root(root.get_ref(), &mut config);
            reader.control_plane(&mut config);
        }
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            reader.add(&span, error.message().trim().replace('\n', ", "), None);
        }
    }
    let Reader { mut findings, mut warnings, .. } = reader;
    let place = |finding: &Finding| (finding.line, finding.column);
    if findings.is_empty() {
        warnings.sort_by_key(place);
        config.warnings = warnings;
        return Ok(config);
    }
    findings.sort_by_key(place);
    Err(ConfigError::Findings(findings))
}

pub(super) struct Reader<'a> {
    text: &'a str,
    file: &'a Path,
    findings: Vec<Finding>,
    warnings: Vec<Finding>,
    /// What is said of the control plane; judged as a whole at the end.
    pub(super) draft: Draft,
}

pub(super) type Item<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn root(&mut self, root: &DeTable<'_>, config: &mut Config) {
        for (key, value) in root {
            let table = key.get_ref().as_ref();
            if LATER.iter().any(|(name, keys)| *name == table && keys.is_empty()) {
                self.later(&key.span(), &format!("[{table}]"));
                continue;
            }
            let Some((_, keys)) = KEYS.iter().find(|(name, _)| *name == table) else {
                let words = KEYS.iter().map(|(name, _)| *name);
                self.unknown(&key.span(), &format!("unknown table `{table}`"), table, words);
                continue;
            };
            let DeValue::Table(entries) = value.get_ref() else {
                self.add(&value.span(), format!("`{table}` must be a table"), None);
                continue;
            };
            for (key, value) in entries {
                let name = key.get_ref().as_ref();
                if keys.contains(&name) {
                    self.key(table, name, value, config);
                } else if LATER.iter().any(|(of, keys)| *of == table && keys.contains(&name)) {
                    self.later(&key.span(), &format!("`{table}.{name}`"));
                } else {
                    let what = format!("unknown key `{name}` in [{table}]");
                    self.unknown(&key.span(), &what, name, keys.iter().copied());
                }
            }
        }
    }

    fn key(&mut self, table: &str, name: &str, value: &Item<'_>, config: &mut Config) {
        let zero = Duration::ZERO;
        match (table, name) {
            ("agent", "name") => {
                self.draft.agent_is_named = true;
                self.agent(value, &mut config.agent.name);
            }
            ("source", "path") => self.path(value, &mut config.source.path),
            ("source", "include") => {
                self.globs(value, &mut config.source.include);
                if matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()) {
                    let message = "an empty `include` matches no files";
                    let hint =
                        "list at least one pattern, such as `\"**/*.yaml\"`, or remove the key";
                    self.add(&value.span(), message.to_owned(), Some(hint.to_owned()));
                }
            }
            ("source", "exclude") => self.globs(value, &mut config.source.exclude),
            ("source", "settle") => self.time(value, zero, &mut config.source.settle),
            ("source", "resync") => self.time(value, PERIOD_MIN, &mut config.source.resync),
            ("control_plane", name) => self.draft(name, value),
            ("kubernetes", name) => self.kubernetes(name, value, &mut config.kubernetes),
            ("workload_clusters", "poll") => {
                self.time(value, PERIOD_MIN, &mut config.workload_clusters.poll);
            }
            ("workload_clusters", "timeout") => {
                self.time(value, PERIOD_MIN, &mut config.workload_clusters.timeout);
            }
            ("safety", "max_delete_percent") => {
                if let Some(percent) = self.number(value, 100) {
                    config.safety.max_delete_percent = percent;
                }
            }
            ("safety", "max_delete_free") => {
                if let Some(free) = self.number(value, u32::MAX) {
                    config.safety.max_delete_free = usize::try_from(free).unwrap_or(usize::MAX);
                }
            }
            ("safety", "confirm") => self.kinds(value, &mut config.safety.confirm),
            ("safety", "prune_delay") => self.time(value, zero, &mut config.safety.prune_delay),
            ("state", "path") => {
                let mut path = PathBuf::new();
                self.path(value, &mut path);
                config.state.path = Some(path);
            }
            ("secrets", "dir") => {
                let mut dir = PathBuf::new();
                self.path(value, &mut dir);
                config.secrets.dir = Some(dir);
            }
            ("secrets", "roots") => self.paths(value, &mut config.secrets.roots),
            // A row of `KEYS` without a reader; the test over all rows finds it.
            (_, _) => self.add(&value.span(), format!("`{table}.{name}` is not read"), None),
        }
    }

    fn agent(&mut self, value: &Item<'_>, name: &mut String) {
        let Some(text) = self.text(value) else { return };
        let good = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        };
        let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        if bytes.len() <= NAME_MAX
            && bytes.iter().copied().all(good)
            && ends(bytes.first())
            && ends(bytes.last())
        {
            *name = text;
            return;
        }
        let hint = format!(
            "use up to {NAME_MAX} lower-case letters, digits, `-`, `_` and `.`, starting and \
             ending with a letter or digit"
        );
        self.add(&value.span(), format!("`{text}` is not a valid agent name"), Some(hint));
    }

    fn globs(&mut self, value: &Item<'_>, out: &mut Vec<String>) {
        let Some(items) = self.list(value) else { return };
        let mut patterns = Vec::new();
        for (span, text) in items {
            if let Some(prefix) = OUTSIDE.iter().find(|prefix| text.starts_with(**prefix)) {
                let message = format!("`{text}` can match nothing");
                let hint = format!(
                    "patterns are relative to the source directory; remove the leading `{prefix}`"
                );
                self.add(&span, message, Some(hint));
            } else if let Err(error) = files::pattern(&text) {
                let message = format!("`{text}` is not a valid pattern: {}", error.kind());
                self.add(&span, message, None);
            } else {
                patterns.push(text);
            }
        }
        *out = patterns;
    }

    fn kinds(&mut self, value: &Item<'_>, out: &mut Vec<KindName>) {
        let Some(items) = self.list(value) else { return };
        let mut kinds = Vec::new();
        for (span, text) in items {
            if let Some(kind) = kind::find(&text) {
                kinds.push(kind.name);
            } else {
                let words = kind::KINDS.iter().map(|kind| kind.name.as_str());
                self.unknown(&span, &format!("unknown kind `{text}`"), &text, words);
            }
        }
        *out = kinds;
    }

    pub(super) fn time(&mut self, value: &Item<'_>, least: Duration, out: &mut Duration) {
        let hint = || Some("use Go syntax in quotes: \"250ms\", \"30s\", \"1h30m\"".to_owned());
        let DeValue::String(text) = value.get_ref() else {
            self.add(&value.span(), "expected a duration".to_owned(), hint());
            return;
        };
        let Ok(nanoseconds) = duration::parse(text) else {
            self.add(&value.span(), format!("`{text}` is not a valid duration"), hint());
            return;
        };
        let parsed = u64::try_from(nanoseconds).map(Duration::from_nanos);
        match parsed {
            Ok(time) if time >= least => *out = time,
            Ok(_) => {
                self.add(
                    &value.span(),
                    format!("`{text}` is below the minimum of {least:?}"),
                    None,
                );
            }
            Err(_) => self.add(&value.span(), format!("`{text}` must not be negative"), None),
        }
    }

    fn number(&mut self, value: &Item<'_>, most: u32) -> Option<u32> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let number = number.filter(|number| *number <= most);
        if number.is_none() {
            self.add(&value.span(), format!("expected an integer from 0 to {most}"), None);
        }
        number
    }

    pub(super) fn path(&mut self, value: &Item<'_>, out: &mut PathBuf) {
        match self.text(value) {
            Some(text) if text.is_empty() => {
                self.add(&value.span(), "the path is empty".to_owned(), None);
            }
            // `join` keeps an absolute path as it is.
            Some(text) => *out = self.file.parent().unwrap_or(Path::new("")).join(text),
            None => {}
        }
    }

    fn paths(&mut self, value: &Item<'_>, out: &mut Vec<PathBuf>) {
        let DeValue::Array(items) = value.get_ref() else {
            self.add(&value.span(), "expected a list: [\"…\"]".to_owned(), None);
            return;
        };
        for item in items {
            let mut path = PathBuf::new();
            self.path(item, &mut path);
            out.push(path);
        }
    }

    pub(super) fn text(&mut self, value: &Item<'_>) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.to_string());
        }
        self.add(&value.span(), "expected a string".to_owned(), None);
        None
    }

    pub(super) fn list(&mut self, value: &Item<'_>) -> Option<Vec<(Range<usize>, String)>> {
        let DeValue::Array(items) = value.get_ref() else {
            self.add(&value.span(), "expected a list: [\"…\"]".to_owned(), None);
            return None;
        };
        items.iter().map(|item| self.text(item).map(|text| (item.span(), text))).collect()
    }

    fn later(&mut self, span: &Range<usize>, what: &str) {
        self.add(span, format!("{what} is not supported yet"), None);
    }

    pub(super) fn unknown<'w>(
        &mut self,
        span: &Range<usize>,
        message: &str,
        typed: &str,
        words: impl Iterator<Item = &'w str>,
    ) {
        let words: Vec<&str> = words.collect();
        let near = words
            .iter()
            .map(|word| (edits(typed, word), *word))
            .filter(|(edits, _)| *edits <= EDITS_MAX)
            .min();
        let hint = match near {
            Some((_, word)) => format!("did you mean `{word}`?"),
            None => format!("known: `{}`", words.join("`, `")),
        };
        self.add(span, message.to_owned(), Some(hint));
    }

    pub(super) fn add(&mut self, span: &Range<usize>, message: String, hint: Option<String>) {
        let finding = self.finding(span, message, hint);
        self.findings.push(finding);
    }

    /// Says something about what is legal.
    pub(super) fn warn(&mut self, span: &Range<usize>, message: String, hint: Option<String>) {
        let finding = self.finding(span, message, hint);
        self.warnings.push(finding);
    }

    fn finding(&self, span: &Range<usize>, message: String, hint: Option<String>) -> Finding {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let path = self.file.to_owned();
        Finding { path, line, column, message, hint }
    }
}

/// Letters that must be inserted, removed or exchanged to get from one word to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut next = vec![above + 1];
        let mut left = above + 1;
        for (other, pair) in to.iter().zip(row.windows(2)) {
            let [diagonal, up] = pair else { continue };
            let exchanged = diagonal + usize::from(letter != *other);
            left = exchanged.min(up + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
