//! One way to the control plane and to the state, for every command.
//!
//! A running agent is asked through its socket; without one, a command that changes something
//! takes the lock itself, and one that only reads looks at the files and leaves no trace.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tonic::transport::Channel;

use super::control;
use super::error::{CliError, chain, is_damaged};
use super::setup::{Setup, Target};
use crate::adapter::clock::System;
use crate::adapter::cluster::Remote;
use crate::adapter::entropy;
use crate::adapter::lock::{Guarded, Lock};
use crate::adapter::memory::Memory;
use crate::adapter::offline::{self, Offline};
use crate::adapter::sqlite::{Sqlite, same_control_plane};
use crate::adapter::teleport::{Link, Teleport};
use crate::journal::State;
use crate::kind;
use crate::live::LiveState;
use crate::model::{Cluster, FingerprintKey, KindName, Live, ResourceId, SecretNames};
use crate::plane::{Faults, Plane, Settings};
use crate::port::{Clock as _, Storage, calls};

/// What a command is going to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing is created, written or locked.
    Read,
    /// Takes the lock, unless an agent runs.
    Change,
}

/// The control plane and the state, as far as they can be had.
pub(super) struct Session {
    /// The control plane.
    pub cluster: Remote<Link>,
    /// Key of the fingerprints.
    pub key: FingerprintKey,
    /// What the journal says; absent when there is none yet.
    pub known: Option<Arc<State>>,
    /// The way to the agent, when one runs.
    pub agent: Option<Remote<Channel>>,
    /// The journal, when this command holds the lock.
    pub storage: Option<Arc<dyn Storage>>,
    /// The embedded plane, when it lives in this process.
    pub plane: Option<Plane>,
    /// The real Teleport, when it is one.
    pub teleport: Option<Teleport>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("agent", &self.agent.is_some()).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// A state that cannot be read, or one that another process holds.
    pub(super) async fn open(
        setup: &Setup,
        access: Access,
        command: &str,
        clock: &System,
    ) -> Result<Self, CliError> {
        if let Some(agent) = Self::agent_of(setup).await {
            return Self::through(setup, agent);
        }
        match access {
            Access::Read => Self::looking(setup, clock),
            Access::Change => Self::owning(setup, command, clock),
        }
    }

    /// The way to the agent of this state, when one runs: for questions that it alone answers,
    /// whatever has become of the identity's file.
    pub(super) async fn agent_of(setup: &Setup) -> Option<Remote<Channel>> {
        let channel = control::connect(&setup.socket).await.filter(|_| !setup.memory)?;
        Some(Remote::new(channel))
    }

    /// A session with a plane that lives in this process and has no journal.
    ///
    /// # Errors
    /// No randomness for the key of the fingerprints.
    pub(super) fn of(plane: &Plane) -> Result<Self, CliError> {
        Ok(Self {
            cluster: connect(plane)?,
            key: new_key()?,
            known: None,
            agent: None,
            storage: None,
            plane: Some(plane.clone()),
            teleport: None,
        })
    }

    /// Whether a session that only reads shows the moment at which it was opened, for ever: without
    /// an agent the embedded plane is a file.
    pub(super) const fn is_still(&self) -> bool {
        self.plane.is_some()
    }

    fn through(setup: &Setup, agent: Remote<Channel>) -> Result<Self, CliError> {
        // A plane that is served without an agent has no journal.
        let offline = if setup.state.exists() { Offline::read(&setup.state)? } else { None };
        // The embedded plane lives in the agent; a real one is asked without a detour, where the
        // identity's file is as good as what the agent holds.
        let through = || agent.clone().map(Link::fixed);
        let (cluster, teleport) = match &setup.target {
            Target::Embedded { .. } => (through(), None),
            Target::Teleport(remote) => match remote.open() {
                Ok(teleport) => {
                    if let Some(offline) = &offline {
                        belongs(offline, setup, &teleport)?;
                    }
                    (Remote::new(teleport.link()), Some(teleport))
                }
                Err(error) => {
                    tracing::warn!("{}; asking the running agent instead", error.message);
                    (through(), None)
                }
            },
        };
        let (key, known) = match offline {
            Some(offline) => (offline.identity.key, Some(Arc::new(offline.state))),
            None => (new_key()?, None),
        };
        Ok(Self { cluster, key, known, agent: Some(agent), storage: None, plane: None, teleport })
    }

    fn looking(setup: &Setup, clock: &System) -> Result<Self, CliError> {
        let offline = if setup.memory { None } else { Offline::read(&setup.state)? };
        let (cluster, plane, teleport) = match &setup.target {
            Target::Embedded { settings, faults } => {
                let look = |database| {
                    let ticks = *clock;
                    Plane::look(settings.clone(), database, Arc::new(move || ticks.now()))
                        .map_err(|error| plane_trouble(&error))
                };
                let file = if setup.memory { None } else { offline::look(&setup.plane, look)? };
                let plane = match file {
                    Some(plane) => with_faults(plane, faults)?,
                    None => open_plane(settings, faults, None, clock)?,
                };
                (connect(&plane)?, Some(plane), None)
            }
            Target::Teleport(remote) => {
                let teleport = remote.open()?;
                if let Some(offline) = &offline {
                    belongs(offline, setup, &teleport)?;
                }
                (Remote::new(teleport.link()), None, Some(teleport))
            }
        };
        let key = match &offline {
            Some(offline) => offline.identity.key.clone(),
            None => new_key()?,
        };
        Ok(Self {
            cluster,
            key,
            known: offline.map(|offline| Arc::new(offline.state)),
            agent: None,
            storage: None,
            plane,
            teleport,
        })
    }

    /// Takes the lock and opens the state for writing: what the agent itself does.
    ///
    /// # Errors
    /// Another process that holds it, named; a state of another control plane.
    pub(super) fn owning(setup: &Setup, command: &str, clock: &System) -> Result<Self, CliError> {
        let teleport = match &setup.target {
            Target::Embedded { .. } => None,
            Target::Teleport(remote) => Some(remote.open()?),
        };
        let key = new_key()?;
        let (storage, key): (Arc<dyn Storage>, _) = if setup.memory {
            (Arc::new(Memory::default()), key)
        } else {
            let lock = Lock::take(&setup.state, command)
                .map_err(|error| CliError::new(error.to_string()))?;
            let disk = Arc::new(Sqlite::open(&setup.state, &key)?);
            match &teleport {
                Some(teleport) => bind_when_reached(&disk, teleport)?,
                None => disk.claim(EMBEDDED)?,
            }
            let key = disk.identity()?.key;
            (Arc::new(Guarded::new(disk, &setup.state, Arc::new(lock))), key)
        };
        let (cluster, plane) = match (&setup.target, &teleport) {
            (Target::Embedded { settings, faults }, _) => {
                let file = (!setup.memory).then_some(setup.plane.as_path());
                let plane = open_plane(settings, faults, file, clock)?;
                (connect(&plane)?, Some(plane))
            }
            (Target::Teleport(_), Some(teleport)) => (Remote::new(teleport.link()), None),
            (Target::Teleport(_), None) => {
                return Err(CliError::new("internal error: the credentials were not read"));
            }
        };
        let known = Arc::new(storage.load()?);
        Ok(Self {
            cluster,
            key,
            known: Some(known),
            agent: None,
            storage: Some(storage),
            plane,
            teleport,
        })
    }

    /// Which names the journal knows for secrets, whatever the live side says of them now.
    pub(super) fn veil(&self) -> SecretNames {
        let mut veil = SecretNames::new(&self.key);
        veil.learn(self.known.iter().flat_map(|state| state.inventory.keys()));
        veil
    }

    /// Lists these kinds. What says the same as `texts` has under its id shares that text: most of
    /// a cluster does.
    pub(super) async fn live<'a>(
        &self,
        kinds: BTreeSet<(Cluster, KindName)>,
        texts: impl Fn(&ResourceId) -> Option<&'a Arc<str>>,
    ) -> LiveState {
        let mut state = LiveState::default();
        for (which, name) in kinds {
            let Some(kind) = kind::row(name) else { continue };
            let share = |mut live: Live| {
                if let Some(text) = texts(&live.id).filter(|text| **text == live.canonical) {
                    live.canonical = Arc::clone(text);
                }
                live
            };
            let (cluster, key) = (&self.cluster, &self.key);
            let observed =
                calls::list_with(cluster, kind, which.clone(), key, share, calls::PAGES_MAX).await;
            state.kinds.insert((which, name), observed);
        }
        state.server = self.cluster.release();
        state
    }
}

/// A key that is thrown away: fingerprints under it mean nothing later.
pub(super) fn new_key() -> Result<FingerprintKey, CliError> {
    entropy::new_key().map_err(|error| CliError::new(format!("no random bytes: {error}")))
}

/// What a state of the embedded plane is bound to.
const EMBEDDED: &str = "embedded";

/// Binds a state to the control plane that answers, and follows its authorities from then on.
/// Nothing is written to a server before its first answer, so nothing before the binding.
///
/// # Errors
/// The state belongs to another control plane.
fn bind_when_reached(disk: &Arc<Sqlite>, teleport: &Teleport) -> Result<(), CliError> {
    disk.belongs(&teleport.identity().control_plane())?;
    let disk = Arc::clone(disk);
    teleport.on_reached(move |identity| {
        disk.claim(&identity.control_plane()).map_err(|error| error.message)
    });
    Ok(())
}

/// A state that belongs to another Teleport shows nothing true about this one.
fn belongs(offline: &Offline, setup: &Setup, teleport: &Teleport) -> Result<(), CliError> {
    let wanted = teleport.identity().control_plane();
    match &offline.identity.control_plane {
        Some(bound) if !same_control_plane(bound, &wanted) => Err(CliError::new(format!(
            "state `{}` belongs to the control plane `{bound}`, not to `{wanted}`; give that one a \
             state of its own (`state.path`), or move this one away first",
            setup.state.display()
        ))),
        Some(_) | None => Ok(()),
    }
}

/// What to do about an embedded plane's database that is damaged.
const PLANE_DAMAGED: &str = "; restore it from a backup, or move it away (with its `-wal` and \
                             `-shm`): the embedded control plane then starts empty";

pub(super) fn open_plane(
    settings: &Settings,
    faults: &Faults,
    file: Option<&Path>,
    clock: &System,
) -> Result<Plane, CliError> {
    let clock = *clock;
    let plane = Plane::open(settings.clone(), file, Arc::new(move || clock.now()))
        .map_err(|error| CliError::new(plane_trouble(&error)))?;
    with_faults(plane, faults)
}

/// Why the plane's state cannot be used, and what to do about it.
fn plane_trouble(error: &(dyn std::error::Error + 'static)) -> String {
    let told = chain(error);
    if is_damaged(&told) { told + PLANE_DAMAGED } else { told }
}

fn with_faults(plane: Plane, faults: &Faults) -> Result<Plane, CliError> {
    plane
        .with_core(|core| *core.faults_mut() = faults.clone())
        .map_err(|status| CliError::new(status.to_string()))?;
    Ok(plane)
}

fn connect(plane: &Plane) -> Result<Remote<Link>, CliError> {
    let channel = plane.in_process().map_err(|error| CliError::new(chain(&error)))?;
    Ok(Remote::new(Link::fixed(channel)))
}
