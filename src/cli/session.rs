//! One way to the control plane and to the state, for every command.
//!
//! A running agent is asked through its socket; without one, a command that changes something
//! takes the lock itself, and one that only reads works on copies and leaves no trace.

use std::path::Path;
use std::sync::Arc;

use tonic::transport::Channel;

use super::control;
use super::error::{CliError, chain};
use super::setup::Setup;
use crate::adapter::clock::System;
use crate::adapter::cluster::Remote;
use crate::adapter::entropy;
use crate::adapter::lock::Lock;
use crate::adapter::memory::Memory;
use crate::adapter::offline::{self, Copied, Offline};
use crate::adapter::sqlite::Sqlite;
use crate::journal::State;
use crate::kind::KINDS;
use crate::live::{LiveState, list};
use crate::model::{Cluster, FingerprintKey};
use crate::plane::Plane;
use crate::port::{Clock as _, Storage};

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
    pub cluster: Remote<Channel>,
    /// Key of the fingerprints.
    pub key: FingerprintKey,
    /// What the journal says; absent when there is none yet.
    pub known: Option<State>,
    /// The way to the agent, when one runs.
    pub agent: Option<Remote<Channel>>,
    /// The journal, when this command holds the lock.
    pub storage: Option<Arc<dyn Storage>>,
    /// The embedded plane, when it lives in this process.
    pub plane: Option<Plane>,
    _lock: Option<Lock>,
    _copy: Option<Copied>,
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
        if let Some(channel) = control::connect(&setup.socket).await.filter(|_| !setup.memory) {
            return Self::through(setup, Remote::new(channel));
        }
        match access {
            Access::Read => Self::looking(setup, clock),
            Access::Change => Self::owning(setup, command, clock),
        }
    }

    fn through(setup: &Setup, agent: Remote<Channel>) -> Result<Self, CliError> {
        let offline = Offline::read(&setup.state)?
            .ok_or_else(|| CliError::new("an agent runs, but its state is gone"))?;
        Ok(Self {
            cluster: agent.clone(),
            key: offline.identity.key,
            known: Some(offline.state),
            agent: Some(agent),
            storage: None,
            plane: None,
            _lock: None,
            _copy: None,
        })
    }

    fn looking(setup: &Setup, clock: &System) -> Result<Self, CliError> {
        let offline = if setup.memory { None } else { Offline::read(&setup.state)? };
        let copy = if setup.memory { None } else { offline::copy(&setup.plane)? };
        let plane = open_plane(setup, copy.as_ref().map(Copied::path), clock)?;
        let key = match &offline {
            Some(offline) => offline.identity.key.clone(),
            None => new_key()?,
        };
        Ok(Self {
            cluster: connect(&plane)?,
            key,
            known: offline.map(|offline| offline.state),
            agent: None,
            storage: None,
            plane: Some(plane),
            _lock: None,
            _copy: copy,
        })
    }

    /// Takes the lock and opens the state for writing: what the agent itself does.
    ///
    /// # Errors
    /// Another process that holds it, named.
    pub(super) fn owning(setup: &Setup, command: &str, clock: &System) -> Result<Self, CliError> {
        let key = new_key()?;
        let (storage, key, lock): (Arc<dyn Storage>, _, _) = if setup.memory {
            (Arc::new(Memory::default()), key, None)
        } else {
            let lock = Lock::take(&setup.state, command)
                .map_err(|error| CliError::new(error.to_string()))?;
            let disk = Sqlite::open(&setup.state, &key)?;
            disk.claim(&setup.control_plane)?;
            let key = disk.identity()?.key;
            (Arc::new(disk), key, Some(lock))
        };
        let file = (!setup.memory).then_some(setup.plane.as_path());
        let plane = open_plane(setup, file, clock)?;
        let known = storage.load()?;
        Ok(Self {
            cluster: connect(&plane)?,
            key,
            known: Some(known),
            agent: None,
            storage: Some(storage),
            plane: Some(plane),
            _lock: lock,
            _copy: None,
        })
    }

    /// Lists every kind.
    pub(super) async fn live(&self) -> LiveState {
        let mut state = LiveState::default();
        for kind in KINDS {
            let observed = list::list(&self.cluster, kind, Cluster::Parent).await;
            state.kinds.insert((Cluster::Parent, kind.name), observed);
        }
        state
    }
}

fn new_key() -> Result<FingerprintKey, CliError> {
    entropy::new_key().map_err(|error| CliError::new(format!("no randomness: {error}")))
}

fn open_plane(setup: &Setup, file: Option<&Path>, clock: &System) -> Result<Plane, CliError> {
    let clock = *clock;
    let plane = Plane::open(setup.plane_settings.clone(), file, Arc::new(move || clock.now()))
        .map_err(|error| CliError::new(chain(&error)))?;
    plane
        .with_core(|core| *core.faults_mut() = setup.faults.clone())
        .map_err(|status| CliError::new(status.to_string()))?;
    Ok(plane)
}

fn connect(plane: &Plane) -> Result<Remote<Channel>, CliError> {
    Ok(Remote::new(plane.in_process().map_err(|error| CliError::new(chain(&error)))?))
}
