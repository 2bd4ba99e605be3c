//! Arguments, environment and configuration, put together once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{Common, ControlPlane as Plane};
use super::error::CliError;
use crate::adapter::files::{Directory, Globs};
use crate::config::{Config, ControlPlane, Search};
use crate::engine;
use crate::plan::Policy;
use crate::plane::{Faults, Settings};

/// Looked for when nobody names a configuration.
const USUAL: [&str; 2] = ["reconciler.toml", "/etc/reconciler/reconciler.toml"];

/// However busy the source is, it is read this many quiet times after the first hint.
const SETTLE_MAX_FACTOR: u32 = 20;

/// All that a command needs to know beside its own arguments.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// The configuration.
    pub config: Config,
    /// The directory of manifests.
    pub source: PathBuf,
    /// The journal's database.
    pub state: PathBuf,
    /// The embedded plane's database.
    pub plane: PathBuf,
    /// Where a running agent answers.
    pub socket: PathBuf,
    /// Everything is thrown away at the end.
    pub memory: bool,
    /// How the embedded plane behaves.
    pub plane_settings: Settings,
    /// What goes wrong in it on demand.
    pub faults: Faults,
    /// What the state is bound to: pointed at another control plane, the agent refuses.
    pub control_plane: String,
}

impl Setup {
    /// Reads the environment and the configuration.
    ///
    /// # Errors
    /// The configuration's findings.
    pub(super) fn new(common: &Common, dir: Option<&Path>) -> Result<Self, CliError> {
        let usual: Vec<&Path> = USUAL.iter().map(Path::new).collect();
        let search = Search { option: common.config.as_deref(), variable: None, usual: &usual };
        let config = Config::load(&search).map_err(|error| CliError::new(error.to_string()))?;
        let source = dir.map_or_else(|| config.source.path.clone(), Path::to_owned);
        let state_directory = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        let mut files = config.files(&source, state_directory.as_deref());
        if let Some(state) = &common.state {
            files.plane = state.with_file_name("plane.db");
            files.socket = state.with_file_name("reconciler.sock");
            files.state.clone_from(state);
        }
        let ControlPlane::Embedded { provision, lag, faults } = &config.control_plane;
        let plane_settings =
            Settings { provisioning: *provision, lag: *lag, ..Settings::default() };
        let faults = faults.parse().map_err(|error| {
            CliError::new(format!("configuration: `control_plane.faults`: {error}"))
        })?;
        Ok(Self {
            source,
            state: files.state,
            plane: files.plane,
            socket: files.socket,
            memory: common.control_plane == Some(Plane::Memory),
            plane_settings,
            faults,
            control_plane: "embedded".to_owned(),
            config,
        })
    }

    /// The source as files.
    ///
    /// # Errors
    /// Never after the configuration was read: its patterns were compiled there.
    pub(super) fn files(&self) -> Result<Directory, CliError> {
        let source = &self.config.source;
        let globs = Globs::new(&source.include, &source.exclude)
            .map_err(|error| CliError::new(error.to_string()))?;
        Ok(Directory::new(&self.source, globs))
    }

    /// What planner and guards go by.
    pub(super) fn policy(&self) -> Policy {
        let safety = &self.config.safety;
        Policy {
            agent: self.config.agent.name.clone(),
            max_delete_percent: safety.max_delete_percent,
            max_delete_free: safety.max_delete_free,
            confirm: safety.confirm.clone(),
        }
    }

    /// What the engine is told.
    pub(super) fn engine(&self, mode: engine::Mode) -> engine::Config {
        let Config { source, workload_clusters, safety, .. } = &self.config;
        let defaults = engine::Config::default();
        engine::Config {
            mode,
            settle: source.settle,
            settle_max: source.settle.saturating_mul(SETTLE_MAX_FACTOR).max(Duration::from_secs(1)),
            resync: source.resync,
            poll: workload_clusters.poll,
            poll_waiting: workload_clusters.poll.min(defaults.poll_waiting),
            ready_timeout: workload_clusters.timeout,
            prune_delay: safety.prune_delay,
            policy: self.policy(),
            planted: None,
        }
    }
}
