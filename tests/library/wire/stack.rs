//! A plane in this process, the client before it, and a journal: what a pass of the agent is
//! made of, one step at a time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reconciler::adapter::cluster::Remote;
use reconciler::journal::{Entry, OpId, Outcome, Record, RunId, State};
use reconciler::kind::{self, KINDS, Kind, canonical};
use reconciler::live::{Coverage, LiveState};
use reconciler::manifest::{Reading, Snapshot, decode};
use reconciler::model::{
    Cluster, Diagnostic, FingerprintKey, Live, Now, Resource, ResourceId, Severity, Timestamp,
    Value,
};
use reconciler::plan::check::check;
use reconciler::plan::{Action, DeferReason, Input, Plan, Policy, Step, plan};
use reconciler::plane::{Plane, Settings};
use reconciler::port::{CallError, calls};
use tonic::transport::Channel;

pub(crate) const OWNER: &str = "wire-test";

pub(crate) const KEY: FingerprintKey = FingerprintKey([7; 32]);

/// Noon of some day.
const WALL: Timestamp = Timestamp(1_795_262_400_000);

/// Any finding that is an error, rendered; empty when the manifests are fine.
pub(crate) fn errors(reading: &Reading) -> Vec<&Diagnostic> {
    reading.findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

/// Reads texts as the files `0.yaml`, `1.yaml`, …
pub(crate) fn read(texts: &[&str]) -> Reading {
    let file = |(number, text): (usize, &&str)| {
        (format!("{number}.yaml").into(), Arc::from(text.as_bytes()))
    };
    let files = texts.iter().enumerate().map(file).collect();
    decode::read(&Snapshot { files, ..Snapshot::default() }, &KEY)
}

/// Reads what must be right.
pub(crate) fn read_right(texts: &[&str]) -> Reading {
    let reading = read(texts);
    assert!(errors(&reading).is_empty() && reading.is_whole(), "{:#?}", errors(&reading));
    reading
}

/// A path below the repository.
pub(crate) fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn row(id: &ResourceId) -> &'static Kind {
    kind::row(id.kind).expect("ids are made from rows")
}

/// `create role/a`, `update kube_cluster/b`.
pub(crate) fn shown(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.action.verb(), step.id)).collect()
}

pub(crate) struct Stack {
    pub(crate) plane: Plane,
    pub(crate) cluster: Remote<Channel>,
    now: Arc<Mutex<Now>>,
    records: Vec<Record>,
}

impl Stack {
    pub(crate) fn new() -> Self {
        Self::with(Settings { enterprise: true, ..Settings::default() })
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let now = Arc::new(Mutex::new(Now { monotonic: Duration::ZERO, wall: WALL }));
        let clock = Arc::clone(&now);
        let plane = Plane::open(settings, None, Arc::new(move || *clock.lock().unwrap())).unwrap();
        let cluster = Remote::new(plane.in_process().unwrap());
        Self { plane, cluster, now, records: Vec::new() }
    }

    /// The same cluster, seen by an agent that did nothing yet.
    pub(crate) fn without_memory(self) -> Self {
        Self { records: Vec::new(), ..self }
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, time: Duration) {
        let mut now = self.now.lock().unwrap();
        now.monotonic += time;
        now.wall = now.wall.plus(time);
    }

    /// Lists everything; all of it must be seen.
    pub(crate) async fn live(&self) -> LiveState {
        let mut state = LiveState::default();
        for kind in KINDS {
            let observed = calls::list(&self.cluster, kind, Cluster::Parent, &KEY).await;
            assert_eq!(observed.coverage(), &Coverage::Complete, "{}", kind.name);
            state.kinds.insert((Cluster::Parent, kind.name), observed);
        }
        state
    }

    /// The journal as a restart would find it.
    pub(crate) fn journal(&self) -> State {
        State::fold(&self.records).unwrap()
    }

    /// What a pass would do now; the independent check agrees.
    pub(crate) async fn plan(&self, reading: &Reading) -> Plan {
        let policy = Policy {
            agent: OWNER.to_owned(),
            max_delete_percent: 100,
            max_delete_free: 0,
            confirm: Vec::new(),
        };
        let (live, journal) = (self.live().await, self.journal());
        assert!(journal.open.is_empty(), "in doubt: {:?}", journal.open);
        let input = Input {
            reading,
            labels: None,
            live: &live,
            inventory: &journal.inventory,
            busy: &BTreeSet::new(),
            policy: &policy,
            key: &KEY,
            wall: self.now.lock().unwrap().wall,
        };
        let plan = plan(&input);
        let violations: Vec<String> =
            check(&plan, &input).iter().map(ToString::to_string).collect();
        assert!(violations.is_empty(), "{violations:#?}");
        plan
    }

    /// Does every step as the engine does: last look, intent, write, outcome.
    ///
    /// # Errors
    /// The first step that the server refuses; the ones before are done and noted.
    pub(crate) async fn execute(
        &mut self,
        reading: &Reading,
        plan: &Plan,
    ) -> Result<(), (ResourceId, CallError)> {
        let mut done = BTreeSet::new();
        for step in &plan.steps {
            assert!(step.after.iter().all(|id| done.contains(id)), "{} came too early", step.id);
            self.one(reading, step).await.map_err(|error| (step.id.clone(), error))?;
            done.insert(step.id.clone());
        }
        let at = self.now.lock().unwrap().wall;
        let forgotten = |id: &ResourceId| Record::Forgotten { id: id.to_string(), at };
        self.records.extend(plan.forget.iter().map(forgotten));
        Ok(())
    }

    async fn one(&mut self, reading: &Reading, step: &Step) -> Result<(), CallError> {
        let at = self.now.lock().unwrap().wall;
        let id = step.id.to_string();
        let (before, entry) = match &step.action {
            Action::Adopt { live: _, after } => {
                let entry = self.entry(reading, step, after, true);
                self.records.push(Record::Adopted { id, entry, at });
                return Ok(());
            }
            Action::Create { after } => (None, Some(self.entry(reading, step, after, false))),
            Action::Update { before, after, changes: _ } => {
                (Some(before), Some(self.entry(reading, step, after, true)))
            }
            Action::Delete { before } => (Some(before), None),
        };
        if let Some(before) = before {
            let now = calls::fetch(&self.cluster, row(&step.id), &step.id, &KEY).await?;
            let now = now.expect("nobody else writes here");
            assert_eq!((&now.revision, now.digest), (&before.revision, before.digest), "{id}");
        }
        let op = OpId(self.journal().next_op);
        self.records.push(Record::Intended {
            op,
            run: RunId(0),
            id: id.clone(),
            verb: step.action.verb(),
            reason: step.reason.to_string(),
            before: before.and_then(|live| live.revision.as_ref()).map(ToString::to_string),
            entry,
            approval: None,
            at,
        });
        let written = calls::write(&self.cluster, row(&step.id), step, OWNER).await;
        let outcome = match &written {
            Ok(written) => {
                Outcome::Done { revision: written.revision.as_ref().map(ToString::to_string) }
            }
            Err(error) => Outcome::Refused { error: error.to_string() },
        };
        self.records.push(Record::Settled { op, outcome, at });
        let written = written?;
        if let Some(revision) = written.revision {
            let now = calls::fetch(&self.cluster, row(&step.id), &step.id, &KEY).await?;
            assert_eq!(now.and_then(|live| live.revision), Some(revision), "{id}");
        }
        Ok(())
    }

    fn entry(&self, reading: &Reading, step: &Step, after: &Resource, adopted: bool) -> Entry {
        let value = Value::from_json(&after.canonical).unwrap();
        let known = self.journal().inventory.get(&step.id).cloned();
        let manifest = reading.manifests.get(&step.id);
        Entry {
            applied: canonical::mask(row(&step.id), &value, &KEY).to_json().into(),
            adopted: known.map_or(adopted, |entry| entry.adopted),
            path: step.at.as_ref().map(|at| at.path.to_string()).unwrap_or_default(),
            keep: manifest.is_some_and(|manifest| manifest.directives.keep),
        }
    }

    /// Applies, and proves that there is nothing left to do, now and from every later list.
    pub(crate) async fn converge(&mut self, reading: &Reading) -> Plan {
        let first = self.plan(reading).await;
        if let Err((id, error)) = self.execute(reading, &first).await {
            panic!("{id}: {error}");
        }
        self.assert_silent(reading).await;
        first
    }

    pub(crate) async fn assert_silent(&self, reading: &Reading) {
        let again = self.plan(reading).await;
        let changes: Vec<_> = again.steps.iter().map(changes).collect();
        assert!(again.steps.is_empty(), "{:?} {changes:#?}", shown(&again));
        let left: Vec<_> =
            again.deferred.iter().filter(|left| left.why != DeferReason::NotMadeByUs).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(again.forget.is_empty(), "{:?}", again.forget);
        assert_eq!(again.unchanged + again.deferred.len(), reading.manifests.len());
    }

    /// What the server holds of one resource.
    pub(crate) async fn fetch(&self, id: &ResourceId) -> Option<Live> {
        calls::fetch(&self.cluster, row(id), id, &KEY).await.unwrap()
    }

    /// How often a method was called; `Delete` stands for all whose name begins so.
    pub(crate) fn calls(&self, prefix: &str) -> u64 {
        let count = |core: &mut reconciler::plane::Core| {
            let named = |path: &str| path.rsplit('/').next().unwrap_or("").starts_with(prefix);
            core.counters().iter().filter(|(path, _)| named(path)).map(|(_, it)| it.calls).sum()
        };
        self.plane.with_core(count).unwrap()
    }
}

/// `spec.allow.logins[1]: - -> "ops"`, a line for each change of an update.
pub(crate) fn changes(step: &Step) -> Vec<String> {
    let Action::Update { before: _, after: _, changes } = &step.action else { return Vec::new() };
    let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_json);
    changes
        .iter()
        .map(|it| format!("{}: {} -> {}", it.path, text(&it.before), text(&it.after)))
        .collect()
}
