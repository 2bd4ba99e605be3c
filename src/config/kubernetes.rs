//! `[kubernetes]`: selectors, dynamic labels, who serves elsewhere.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::read::{Item, Reader};
use super::{DynamicLabels, Kubernetes};
use crate::labels::allow::Allow;
use crate::labels::lint::Lint;
use crate::labels::selector::{self, Selectors};
use crate::labels::serve::Service;
use crate::labels::{Mode, OnFailure};

/// Keys of `[kubernetes]`.
pub(super) const KEYS: &[&str] = &["resources", "dynamic_labels", "service"];
const DYNAMIC: &[&str] = &["mode", "allow", "timeout", "on_failure", "environment"];
const SERVICE: &[&str] = &["name", "resources"];
const RESOURCE: &[&str] = &["labels"];

/// Shortest time that a command is given.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// Where a key stands, and where its values do.
type KeyPlace = (Range<usize>, Vec<Range<usize>>);

/// Where the parts of a list stand, for findings about its meaning.
struct Places {
    list: Range<usize>,
    items: Vec<(Range<usize>, BTreeMap<String, KeyPlace>)>,
}

impl Places {
    fn of(&self, trap: &Lint) -> Range<usize> {
        let item = trap.item.and_then(|item| self.items.get(item.checked_sub(1)?));
        let Some((item, keys)) = item else { return self.list.clone() };
        let Some((key, values)) = trap.key.as_ref().and_then(|key| keys.get(key)) else {
            return item.clone();
        };
        trap.value.and_then(|value| values.get(value)).unwrap_or(key).clone()
    }
}

impl Reader<'_> {
    /// Takes one key of `[kubernetes]`.
    pub(super) fn kubernetes(&mut self, name: &str, value: &Item<'_>, out: &mut Kubernetes) {
        match name {
            "resources" => {
                if let Some(selectors) = self.selectors(value) {
                    out.selectors = selectors;
                }
            }
            "dynamic_labels" => {
                let Some(table) = self.table(value, "kubernetes.dynamic_labels") else { return };
                for (key, value) in table {
                    let name = key.get_ref().as_ref();
                    if DYNAMIC.contains(&name) {
                        self.dynamic(name, value, &mut out.dynamic_labels);
                    } else {
                        let what = format!("unknown key `{name}` in [kubernetes.dynamic_labels]");
                        self.unknown(&key.span(), &what, name, DYNAMIC.iter().copied());
                    }
                }
            }
            "service" => self.services(value, &mut out.services),
            // A row of `KEYS` without a reader; the test over all rows finds it.
            name => self.add(&value.span(), format!("`kubernetes.{name}` is not read"), None),
        }
    }

    fn dynamic(&mut self, name: &str, value: &Item<'_>, out: &mut DynamicLabels) {
        match name {
            "mode" => {
                let words = [("resolve", Mode::Resolve), ("forward", Mode::Forward)];
                self.word(value, "mode", &words, &mut out.mode);
            }
            "on_failure" => {
                let words = [("keep-last", OnFailure::KeepLast), ("drop", OnFailure::Drop)];
                self.word(value, "on_failure", &words, &mut out.on_failure);
            }
            "timeout" => self.time(value, TIMEOUT_MIN, &mut out.timeout),
            "allow" => self.allow(value, &mut out.allow),
            "environment" => self.environment(value, &mut out.environment),
            // As above.
            name => self.add(&value.span(), format!("`{name}` is not read"), None),
        }
    }

    fn word<T: Copy>(&mut self, value: &Item<'_>, of: &str, words: &[(&str, T)], out: &mut T) {
        let Some(typed) = self.text(value) else { return };
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == typed) {
            *out = *meant;
        } else {
            let what = format!("unknown {of} `{typed}`");
            self.unknown(&value.span(), &what, &typed, words.iter().map(|(word, _)| *word));
        }
    }

    fn allow(&mut self, value: &Item<'_>, out: &mut Allow) {
        let Some(items) = self.list(value) else { return };
        let patterns: Vec<String> = items.iter().map(|(_, text)| text.clone()).collect();
        match Allow::new(&patterns) {
            Ok(allow) => *out = allow,
            Err(refused) => {
                for refused in refused {
                    let place = items.get(refused.index).map_or(value.span(), |(at, _)| at.clone());
                    self.add(&place, refused.message, refused.hint);
                }
            }
        }
    }

    fn environment(&mut self, value: &Item<'_>, out: &mut Vec<String>) {
        let Some(items) = self.list(value) else { return };
        let mut names = Vec::new();
        for (place, name) in items {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                self.add(&place, format!("`{name}` is not a valid variable name"), None);
            } else if name.chars().all(good) {
                names.push(name);
            } else {
                let hint = "list names only; values come from the agent's own environment";
                let message = format!("`{name}` is not a valid variable name");
                self.add(&place, message, Some(hint.to_owned()));
            }
        }
        *out = names;
    }

    fn services(&mut self, value: &Item<'_>, out: &mut Vec<Service>) {
        let DeValue::Array(items) = value.get_ref() else {
            let hint = "write [[kubernetes.service]]".to_owned();
            self.add(
                &value.span(),
                "`kubernetes.service` must be a list of tables".to_owned(),
                Some(hint),
            );
            return;
        };
        let mut services: Vec<Service> = Vec::new();
        for item in items {
            let Some(table) = self.table(item, "kubernetes.service") else { continue };
            let (mut name, mut resources) = (None, None);
            let mut complete = true;
            for (key, value) in table {
                match key.get_ref().as_ref() {
                    "name" => name = self.text(value).filter(|name| !name.is_empty()),
                    "resources" => {
                        resources = self.selectors(value);
                        complete = resources.is_some();
                    }
                    other => {
                        let what = format!("unknown key `{other}` in [[kubernetes.service]]");
                        self.unknown(&key.span(), &what, other, SERVICE.iter().copied());
                    }
                }
            }
            let Some(name) = name else {
                self.add(&item.span(), "`name` is missing".to_owned(), None);
                continue;
            };
            if services.iter().any(|other| other.name == name) {
                self.add(&item.span(), format!("duplicate service `{name}`"), None);
                continue;
            }
            match resources {
                Some(resources) => services.push(Service { name, resources }),
                None if complete => {
                    let hint = "copy it from the service's `kubernetes_service.resources`; omit a \
                                service that has none, it picks up no registered cluster";
                    let message = "`resources` is missing".to_owned();
                    self.add(&item.span(), message, Some(hint.to_owned()));
                }
                None => {}
            }
        }
        *out = services;
    }

    /// A list of `{ labels = { … } }`.
    fn selectors(&mut self, value: &Item<'_>) -> Option<Selectors> {
        let DeValue::Array(list) = value.get_ref() else {
            let hint = "write [{ labels = { env = \"prod\" } }]".to_owned();
            self.add(&value.span(), "`resources` must be a list".to_owned(), Some(hint));
            return None;
        };
        let mut items = Vec::new();
        let mut places = Places { list: value.span(), items: Vec::new() };
        let mut whole = true;
        for item in list {
            match self.resource(item) {
                Some((labels, keys)) => {
                    items.push(labels);
                    places.items.push((item.span(), keys));
                }
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        match Selectors::new(&items) {
            Ok(selectors) => {
                for trap in selectors.warnings() {
                    self.warn(&places.of(&trap), trap.message, trap.hint);
                }
                Some(selectors)
            }
            Err(traps) => {
                for trap in traps {
                    self.add(&places.of(&trap), trap.message, trap.hint);
                }
                None
            }
        }
    }

    /// `{ labels = { … } }`; absent if there is a finding.
    fn resource(
        &mut self,
        item: &Item<'_>,
    ) -> Option<(selector::Item, BTreeMap<String, KeyPlace>)> {
        let (mut labels, mut places) = (selector::Item::new(), BTreeMap::new());
        let mut whole = true;
        for (key, value) in self.table(item, "resources")? {
            let name = key.get_ref().as_ref();
            if !RESOURCE.contains(&name) {
                let hint = "nest labels one level deeper: { labels = { env = \"prod\" } }";
                let message = format!("unknown key `{name}` in an item of `resources`");
                self.add(&key.span(), message, Some(hint.to_owned()));
                whole = false;
                continue;
            }
            let Some(table) = self.table(value, "labels") else {
                whole = false;
                continue;
            };
            for (key, value) in table {
                let Some(values) = self.one_or_more(value) else {
                    whole = false;
                    continue;
                };
                let name = key.get_ref().to_string();
                let (spans, texts) = values.into_iter().unzip();
                labels.insert(name.clone(), texts);
                places.insert(name, (key.span(), spans));
            }
        }
        whole.then_some((labels, places))
    }

    /// Text, or a list of texts.
    fn one_or_more(&mut self, value: &Item<'_>) -> Option<Vec<(Range<usize>, String)>> {
        match value.get_ref() {
            DeValue::Array(_) => self.list(value),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => Some(vec![(value.span(), self.text(value)?)]),
        }
    }

    fn table<'t, 'v>(&mut self, value: &'t Item<'v>, what: &str) -> Option<&'t DeTable<'v>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        let message = if what == "resources" {
            "an item of `resources` must be a table".to_owned()
        } else {
            format!("`{what}` must be a table")
        };
        self.add(&value.span(), message, None);
        None
    }
}
