//! `reconciler.toml`: what may stand in it, what it means, where it is found.
//!
//! Deliberately absent: the environment (`cli` reads it and passes it in).

mod control_plane;
mod find;
mod kubernetes;
mod read;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::find::{Missing, Search};
use crate::adapter::teleport::{Address, Source as Credentials};
use crate::labels::allow::Allow;
use crate::labels::selector::Selectors;
use crate::labels::serve::Service;
use crate::labels::{Mode, OnFailure};
use crate::model::KindName;

/// What the program is told to do. Every field has its value: defaults are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it came from; absent: all defaults.
    pub file: Option<PathBuf>,
    /// What is legal in it and seldom meant, in the order of the text.
    pub warnings: Vec<Finding>,
    /// `[agent]`.
    pub agent: Agent,
    /// `[source]`.
    pub source: Source,
    /// `[control_plane]`.
    pub control_plane: ControlPlane,
    /// `[kubernetes]`.
    pub kubernetes: Kubernetes,
    /// `[workload_clusters]`.
    pub workload_clusters: WorkloadClusters,
    /// `[safety]`.
    pub safety: Safety,
    /// `[state]`.
    pub state: State,
    /// `[secrets]`.
    pub secrets: Secrets,
}

/// Where references to secrets may lead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The directory of `secret://NAME/KEY`. Default: none, such references are refused.
    pub dir: Option<PathBuf>,
    /// Directories beside the source that `file://PATH` may lead into. Default: none.
    pub roots: Vec<PathBuf>,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The ownership mark. Default `reconciler`.
    pub name: String,
}

/// Where manifests are and when they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The directory. Default `desired-state`; a relative one counts from the file's directory.
    pub path: PathBuf,
    /// Default [`crate::adapter::files::INCLUDE`].
    pub include: Vec<String>,
    /// Default [`crate::adapter::files::EXCLUDE`].
    pub exclude: Vec<String>,
    /// Quiet time before a reading. Default 250 ms.
    pub settle: Duration,
    /// Time after which everything is read again without a reason. Default 5 minutes.
    pub resync: Duration,
}

/// What is kept equal to the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlPlane {
    /// Our own, in this process.
    Embedded {
        /// Time until a new workload cluster is active. Default 3 s.
        provision: Duration,
        /// How long reads show the state before a write. Default 0.
        lag: Duration,
        /// What goes wrong in it on demand, for rehearsals (`plane::Faults`). Default nothing.
        faults: String,
    },
    /// A real Teleport.
    Teleport {
        /// Its proxy or its Auth Service.
        address: Address,
        /// Identity file, or certificate, key and authorities.
        credentials: Credentials,
        /// Authorities of the proxy's HTTPS. Default: the system's.
        ca_file: Option<PathBuf>,
    },
}

/// Which Kubernetes clusters are registered, and what is known about who serves them. Default:
/// all of them, and no command is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// `resources`: a cluster is registered while its labels match.
    pub selectors: Selectors,
    /// `[kubernetes.dynamic_labels]`.
    pub dynamic_labels: DynamicLabels,
    /// `[[kubernetes.service]]`, in the order of the text.
    pub services: Vec<Service>,
}

/// How the values of dynamic labels are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicLabels {
    /// Default [`Mode::Resolve`].
    pub mode: Mode,
    /// Commands that may be run. Default none.
    pub allow: Allow,
    /// Longest run of one command. Default 30 s.
    pub timeout: Duration,
    /// Default [`OnFailure::KeepLast`].
    pub on_failure: OnFailure,
    /// Names of variables that commands get beside those that every command gets. Default none.
    pub environment: Vec<String>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            selectors: Selectors::everything(),
            dynamic_labels: DynamicLabels {
                mode: Mode::default(),
                allow: Allow::default(),
                timeout: Duration::from_secs(30),
                on_failure: OnFailure::default(),
                environment: Vec::new(),
            },
            services: Vec::new(),
        }
    }
}

/// Clocks of workload clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadClusters {
    /// Time between two lists of a kind that no watch follows; at most 5 s while one is on its way
    /// to being ready. Default 30 s.
    pub poll: Duration,
    /// How long a single pass waits until all are active. Default 15 minutes.
    pub timeout: Duration,
}

/// What waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Safety {
    /// Per cent of what we manage. Default 30.
    pub max_delete_percent: u32,
    /// Default 3.
    pub max_delete_free: usize,
    /// Kinds whose deletion always waits. Default `workload_cluster`.
    pub confirm: Vec<KindName>,
    /// Time between the plan of a delete and the delete. Default 10 s.
    pub prune_delay: Duration,
}

/// Where the state is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// As configured; see [`Config::state_file`].
    pub path: Option<PathBuf>,
}

impl ControlPlane {
    /// The embedded one as it is by default.
    pub const fn embedded() -> Self {
        Self::Embedded {
            provision: Duration::from_secs(3),
            lag: Duration::ZERO,
            faults: String::new(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let owned = |patterns: &[&str]| patterns.iter().copied().map(str::to_owned).collect();
        Self {
            file: None,
            warnings: Vec::new(),
            agent: Agent { name: "reconciler".to_owned() },
            source: Source {
                path: PathBuf::from("desired-state"),
                include: owned(crate::adapter::files::INCLUDE),
                exclude: owned(crate::adapter::files::EXCLUDE),
                settle: Duration::from_millis(250),
                resync: Duration::from_mins(5),
            },
            control_plane: ControlPlane::embedded(),
            kubernetes: Kubernetes::default(),
            workload_clusters: WorkloadClusters {
                poll: Duration::from_secs(30),
                timeout: Duration::from_mins(15),
            },
            safety: Safety {
                max_delete_percent: 30,
                max_delete_free: 3,
                confirm: read::default_confirm(),
                prune_delay: Duration::from_secs(10),
            },
            state: State { path: None },
            secrets: Secrets::default(),
        }
    }
}

impl Config {
    /// Reads the text of a configuration; `file` is shown in findings, and relative paths count
    /// from its directory.
    ///
    /// # Errors
    /// All findings at once.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        read::read(text, file)
    }

    /// Finds the file and reads it; all defaults if there is none.
    ///
    /// # Errors
    /// A file that was named and is not there or cannot be read; all findings in it.
    pub fn load(search: &Search<'_>) -> Result<Self, ConfigError> {
        find::load(search)
    }

    /// Where the state is, in this order: `state.path`; `state.db` in
    /// `state_directory` (`$STATE_DIRECTORY`, which systemd sets); `.reconciler/state.db` beside
    /// `source`.
    pub fn state_file(&self, source: &Path, state_directory: Option<&Path>) -> PathBuf {
        match (&self.state.path, state_directory) {
            (Some(path), _) => path.clone(),
            // systemd separates several directories by colons; the first is ours.
            (None, Some(dir)) => first_of_list(dir).join("state.db"),
            (None, None) => beside(source).join(".reconciler").join("state.db"),
        }
    }
}

/// The files that an agent keeps, all in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFiles {
    /// Journal and inventory.
    pub state: PathBuf,
    /// The embedded control plane.
    pub plane: PathBuf,
    /// Where a running agent answers.
    pub socket: PathBuf,
}

impl StateFiles {
    /// All files that belong to a state.
    pub fn beside(state: PathBuf) -> Self {
        Self {
            plane: state.with_file_name("plane.db"),
            socket: state.with_file_name("reconciler.sock"),
            state,
        }
    }
}

fn first_of_list(dirs: &Path) -> PathBuf {
    match dirs.to_str().and_then(|text| text.split_once(':')) {
        Some((first, _)) => PathBuf::from(first),
        None => dirs.to_owned(),
    }
}

/// The directory that holds the source, by name: what a link points at does not count.
fn beside(source: &Path) -> PathBuf {
    let absolute = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    absolute.parent().unwrap_or(&absolute).to_owned()
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file's.
    #[error("configuration `{}`: {message}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// What stands in it, in the order of the text.
    #[error("{}", lines(.0))]
    Findings(Vec<Finding>),
}

/// One thing that is wrong in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// From one.
    pub line: usize,
    /// From one, in characters.
    pub column: usize,
    /// A lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, line, column, message, hint } = self;
        write!(f, "{}:{line}:{column}: {message}", path.display())?;
        match hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
