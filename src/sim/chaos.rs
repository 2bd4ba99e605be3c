//! What people, tools, other programs and bad luck do.

use std::time::Duration;

use super::cluster::at_once;
use super::item::{Item, Phase};
use super::source::{Doc, VARIANTS, resource, universe};
use super::world::World;
use crate::engine::Event;
use crate::kind::{self, Kind, call, canonical};
use crate::manifest::Adopt;
use crate::model::{Live, ResourceId, Timestamp};
use crate::plane::Caller;
use crate::port::calls;

/// Time between two deeds, at most.
const PAUSE_MAX_MS: u64 = 9_000;
/// Time between two slices of one removal, at most: longer than a delete takes.
const SLICE_MAX_MS: u64 = 12_000;
/// Time between two looks of a person at what waits.
const PERSON: Duration = Duration::from_secs(15);
/// Files of the directory.
const FILES: u32 = 5;

impl World {
    /// The first files, and what was on the cluster before us.
    pub(super) fn begin(&mut self) {
        for id in universe() {
            match self.chaos.u32(..10) {
                0..5 => self.add_doc(id.clone()),
                5 => self.foreign_put(id, None),
                6 => self.foreign_put(id, Some("other")),
                _nothing => {}
            }
        }
    }

    fn draw_id(&mut self) -> ResourceId {
        let all = universe();
        let index = self.chaos.usize(..all.len());
        #[expect(clippy::indexing_slicing, reason = "drawn below the length")]
        all[index].clone()
    }

    fn add_doc(&mut self, id: ResourceId) {
        let variant = self.chaos.u32(..VARIANTS);
        let file = self.chaos.u32(..FILES);
        let keep = self.chaos.u32(..12) == 0;
        let adopt = match self.chaos.u32(..8) {
            0 => Adopt::Never,
            1 => Adopt::Always,
            _usual => Adopt::IfUnowned,
        };
        let doc = Doc { id, variant, broken: None, keep, adopt, paused: None };
        self.source.files.entry(file).or_default().push(doc);
    }

    /// Somebody removes one document after the other, and does not hurry.
    pub(super) fn slice(&mut self, left: u32) {
        if left == 0 || self.phase != Phase::Chaos {
            return;
        }
        self.count("slice");
        if let Some(docs) = self.source.files.values_mut().find(|docs| !docs.is_empty()) {
            docs.pop();
        }
        let told = Item::Tell(self.life, Box::new(Event::SourceChanged));
        self.schedule(Duration::from_millis(5), told);
        let wait = Duration::from_millis(self.slices.u64(50..SLICE_MAX_MS));
        self.schedule(wait, Item::Slice(left - 1));
    }

    /// One deed, and when the next one comes.
    pub(super) fn happen_chaos(&mut self) {
        if self.phase != Phase::Chaos {
            return;
        }
        let wait = Duration::from_millis(self.chaos.u64(1..PAUSE_MAX_MS));
        self.schedule(wait, Item::Chaos);
        let deed = self.chaos.u32(..100);
        match deed {
            0..12 => self.deed("edit", Self::edit),
            12..26 => self.deed("remove document", Self::remove_doc),
            26..38 => self.deed("add document", |world| {
                let id = world.draw_id();
                world
                    .source
                    .docs_mut()
                    .filter(|doc| doc.id == id)
                    .for_each(|doc| doc.broken = None);
                if !world.source.docs_mut().any(|doc| doc.id == id) {
                    world.add_doc(id);
                }
            }),
            38..43 => self.deed("break document", Self::break_doc),
            43..49 => self.deed("repair all", |world| {
                world.source.docs_mut().for_each(|doc| doc.broken = None);
                world.source.unreadable.clear();
                world.dedup();
            }),
            49..52 => self.deed("duplicate", |world| {
                let id = world.draw_id();
                world.add_doc(id);
            }),
            52..55 => self.deed("move document", Self::move_doc),
            55..58 => self.deed("empty source", |world| world.source.files.clear()),
            58..61 => self.deed("unreadable file", |world| {
                let file = world.chaos.u32(..FILES);
                world.source.unreadable.insert(file);
            }),
            61..67 => self.deed("checkout", |world| {
                world.source.moving = world.at + Duration::from_millis(world.chaos.u64(1..8000));
            }),
            67..71 => self.deed("pause", |world| {
                let until = Timestamp(world.now().wall.0 + world.chaos.i64(1000..60_000));
                let index = world.chaos.usize(..20);
                if let Some(doc) = world.source.docs_mut().nth(index) {
                    doc.paused = Some(until);
                }
            }),
            _other => self.happen_outside(deed),
        }
    }

    fn happen_outside(&mut self, deed: u32) {
        let id = self.draw_id();
        match deed {
            71..78 => {
                self.count("drift");
                let owner = self.keeps_mark(&id);
                self.foreign_put(&id, owner.as_deref());
            }
            78..82 => {
                self.count("foreign delete");
                self.foreign_delete(&id);
            }
            82..85 => {
                self.count("mark taken");
                self.foreign_put(&id, None);
            }
            85..89 => {
                self.count("watch reset");
                self.cluster.inner().core.reset_watches();
            }
            89..91 => {
                self.count("disk full");
                self.disk_fails = true;
            }
            91..94 => {
                self.count("clock jump");
                self.epoch += self.chaos.i64(-100_000..100_000);
            }
            94..97 if self.alive => {
                self.count("asked to stop");
                self.step(Event::Stop);
            }
            97 => {
                self.count("identity expired");
                self.identity_expires();
            }
            98 => {
                self.count("lag change");
                let lag = Duration::from_millis(self.chaos.u64(0..2000));
                self.cluster.inner().core.set_lag(lag);
            }
            _nothing => self.count("nothing"),
        }
        self.wake_plane();
    }

    /// Something happens to the files, and mostly somebody says so.
    fn deed(&mut self, name: &str, deed: impl Fn(&mut Self)) {
        self.count(name);
        self.note("deed", || name.to_owned());
        deed(self);
        if self.chaos.u32(..10) < 8 {
            self.schedule(
                Duration::from_millis(5),
                Item::Tell(self.life, Box::new(Event::SourceChanged)),
            );
        }
    }

    fn edit(&mut self) {
        let (index, variant) = (self.chaos.usize(..20), self.chaos.u32(..VARIANTS));
        let keep = self.chaos.u32(..12) == 0;
        if let Some(doc) = self.source.docs_mut().nth(index) {
            doc.variant = variant;
            doc.keep = keep;
        }
    }

    fn remove_doc(&mut self) {
        let file = self.chaos.u32(..FILES);
        if let Some(docs) = self.source.files.get_mut(&file) {
            docs.pop();
        }
    }

    fn break_doc(&mut self) {
        let (index, wholly) = (self.chaos.usize(..20), self.chaos.bool());
        if let Some(doc) = self.source.docs_mut().nth(index) {
            doc.broken = Some(wholly);
        }
    }

    fn move_doc(&mut self) {
        let (from, to) = (self.chaos.u32(..FILES), self.chaos.u32(..FILES));
        if let Some(doc) = self.source.files.get_mut(&from).and_then(Vec::pop) {
            self.source.files.entry(to).or_default().push(doc);
        }
    }

    fn dedup(&mut self) {
        let mut seen = std::collections::BTreeSet::new();
        for docs in self.source.files.values_mut() {
            docs.retain(|doc| seen.insert(doc.id.clone()));
        }
    }

    fn look(&self, id: &ResourceId) -> Option<(&'static Kind, Live)> {
        self.now();
        let kind = kind::row(id.kind)?;
        self.cluster.inner().fault = None;
        let live = at_once(calls::fetch(&self.cluster, kind, id, &super::KEY))?.ok()??;
        Some((kind, live))
    }

    fn keeps_mark(&self, id: &ResourceId) -> Option<String> {
        self.look(id).and_then(|(_, live)| live.owner)
    }

    /// Somebody writes it by hand; `owner` is the mark that it bears afterwards.
    fn foreign_put(&mut self, id: &ResourceId, owner: Option<&str>) {
        let Some(kind) = kind::row(id.kind) else { return };
        let wanted = resource(id, self.chaos.u32(..VARIANTS));
        let base = self.look(id).map(|(_, live)| live);
        let mut message =
            canonical::encode(kind, &wanted, base.as_ref(), owner.unwrap_or("nobody"));
        if owner.is_none()
            && let Ok(bytes) = &message
            && let Ok(mut value) = canonical::to_value(kind, bytes)
        {
            drop_mark(&mut value);
            message = canonical::from_value(kind, &value);
        }
        let Ok(message) = message else { return };
        let request = match base {
            Some(_) => call::update(kind, message),
            None => call::create(kind, message),
        };
        let Some(request) = request else { return };
        let now = self.now();
        let answer =
            self.cluster.inner().core.call(now, &Caller::admin(), request.path, &request.body);
        let done = if answer.result.is_ok() { "foreign write" } else { "foreign write refused" };
        self.count(done);
        self.note("foreign", || format!("put {id} {owner:?} {}", answer.result.is_ok()));
        self.oracle.taken(id, self.version(id));
        self.wake_plane();
    }

    fn foreign_delete(&mut self, id: &ResourceId) {
        let Some(kind) = kind::row(id.kind) else { return };
        let Some(request) = call::delete(kind, &id.name) else { return };
        let now = self.now();
        let answer =
            self.cluster.inner().core.call(now, &Caller::admin(), request.path, &request.body);
        self.note("foreign", || format!("delete {id} {}", answer.result.is_ok()));
        self.oracle.taken(id, self.version(id));
    }

    /// A person looks at what waits, and mostly lets it through.
    pub(super) fn person(&mut self) {
        if self.phase == Phase::Silence || self.phase == Phase::Once && !self.is_attended() {
            return;
        }
        self.schedule(PERSON, Item::Person);
        if !self.alive {
            return;
        }
        let now = self.now();
        let status = self.engine.status(now);
        let shown = serde_json::to_string(&status).unwrap_or_default();
        self.oracle.shown("the status", &shown);
        for held in &status.held {
            let name = format!("guard {}", held.guard);
            self.count(&name);
        }
        if let Some(again) = self.oracle.approvals.asked_again(now.wall, &status) {
            self.oracle.violate("asked_again", again);
        }
        let Some(hash) = status.approval.clone() else { return };
        let typed = match self.chaos.u32(..6) {
            0 => hash.chars().take(8).collect(),
            1 if self.phase == Phase::Chaos => hash.chars().take(4).collect(),
            2 if self.phase == Phase::Chaos => "0123456789abcdef".to_owned(),
            _whole => hash.clone(),
        };
        if typed.len() >= 8 && hash.starts_with(&typed) {
            let expires = now.wall.plus(Duration::from_hours(1));
            self.oracle.approvals.give(&hash, expires, &status);
        }
        self.requests += 1;
        let request = self.requests;
        self.step(Event::Approve { hash: typed, request });
    }

    /// Everything that went wrong is over; nobody tells the engine.
    pub(super) fn quieten(&mut self) {
        self.note("phase", || "calm".to_owned());
        self.phase = Phase::Calm;
        self.disk_fails = false;
        self.cluster.inner().expired = false;
        self.cluster.inner().stubborn = None;
        self.mend_labels();
        self.repair();
    }

    /// The source is as its authors want it.
    pub(super) fn repair(&mut self) {
        self.source.moving = Duration::ZERO;
        self.source.unreadable.clear();
        for doc in self.source.docs_mut() {
            doc.broken = None;
            doc.paused = None;
        }
        self.dedup();
        self.give_up_blocked();
    }

    /// A deleted name of a workload cluster stays blocked for 14 days: nobody asks for it.
    pub(super) fn give_up_blocked(&mut self) {
        let now = self.now();
        let inner = self.cluster.inner();
        let is_blocked = |id: &ResourceId| {
            id.kind.as_str() == "workload_cluster" && inner.core.is_blocked(&id.name, now)
        };
        for docs in self.source.files.values_mut() {
            docs.retain(|doc| !is_blocked(&doc.id));
        }
    }
}

fn drop_mark(value: &mut crate::model::Value) {
    use crate::model::Value;
    if let Value::Map(resource) = value
        && let Some(Value::Map(metadata)) = resource.get_mut("metadata")
        && let Some(Value::Map(labels)) = metadata.get_mut("labels")
    {
        labels.remove(kind::OWNER_LABEL);
    }
}
