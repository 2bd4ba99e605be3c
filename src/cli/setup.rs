//! Arguments, environment and configuration, put together once.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;

use super::args::{Args, Common, ControlPlane as Plane};
use super::error::CliError;
use crate::adapter::commands::{Environment, Reaper, Runner};
use crate::adapter::files::{Directory, Globs, Places};
use crate::adapter::teleport::{self, Address, HttpProxy, Source, Teleport, outer_roots};
use crate::config::{Config, ControlPlane, DynamicLabels, Kubernetes, Search, StateFiles};
use crate::engine;
use crate::labels::resolve::Rules;
use crate::labels::selector::Selectors;
use crate::labels::serve::Service;
use crate::manifest::suggest;
use crate::plan::Policy;
use crate::plane::{Faults, KubeService, Settings};

/// Looked for when nobody names a configuration.
const USUAL: [&str; 2] = ["reconciler.toml", "/etc/reconciler/reconciler.toml"];

/// Names the configuration, unless an option does.
const CONFIG: &str = "RECONCILER_CONFIG";

/// However busy the source is, it is read this many quiet times after the first hint.
const SETTLE_MAX_FACTOR: u32 = 20;

/// The hidden command that ends the commands of an agent that was killed.
pub(super) const REAPER: &str = "end-orphans";

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
    /// Which control plane.
    pub target: Target,
}

/// Which control plane, with all that is needed to open it.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// Our own.
    Embedded {
        /// How it behaves.
        settings: Settings,
        /// What goes wrong in it on demand.
        faults: Faults,
    },
    /// A real one.
    Teleport(Remote),
}

/// A real Teleport. Nothing was opened yet.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    /// Proxy or Auth Service.
    pub address: Address,
    /// Credentials.
    pub credentials: Source,
    /// Authorities of the proxy's HTTPS.
    pub ca_file: Option<PathBuf>,
    /// `HTTPS_PROXY` and `NO_PROXY`.
    pub proxy: HttpProxy,
    /// `TELEPORT_TLS_ROUTING_CONN_UPGRADE`.
    pub upgrade: Option<bool>,
}

impl Remote {
    /// Reads credentials and authorities.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn open(&self) -> Result<Teleport, CliError> {
        let roots = outer_roots(self.ca_file.as_deref()).map_err(CliError::new)?;
        let settings = teleport::Settings {
            address: self.address.clone(),
            source: self.credentials.clone(),
            roots: Arc::new(roots),
            proxy: self.proxy.clone(),
            upgrade: self.upgrade,
        };
        Teleport::open(settings).map_err(|error| CliError::new(error.to_string()))
    }
}

/// Most links on the way to a state.
const LINKS_MAX: usize = 40;

/// Where a link leads that stands for the state: its log and its lock lie beside the file itself,
/// whatever it is called.
fn followed(mut state: PathBuf) -> PathBuf {
    for _ in 0..LINKS_MAX {
        let Ok(target) = std::fs::read_link(&state) else { break };
        state = state.parent().map_or_else(|| target.clone(), |parent| parent.join(&target));
    }
    state
}

impl Setup {
    /// Reads the environment and the configuration.
    ///
    /// # Errors
    /// The configuration's findings.
    pub(super) fn new(common: &Common, dir: Option<&Path>) -> Result<Self, CliError> {
        let usual: Vec<&Path> = USUAL.iter().map(Path::new).collect();
        // An empty variable is one that is not set.
        let named = std::env::var_os(CONFIG).filter(|text| !text.is_empty()).map(PathBuf::from);
        let search =
            Search { option: common.config.as_deref(), variable: named.as_deref(), usual: &usual };
        let config = Config::load(&search).map_err(|error| CliError::new(error.to_string()))?;
        let source = dir.map_or_else(|| config.source.path.clone(), Path::to_owned);
        let state_directory = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        let state = match &common.state {
            Some(state) => state.clone(),
            None => config.state_file(&source, state_directory.as_deref()),
        };
        let files = StateFiles::beside(followed(state));
        let target = target(common, &config)?;
        Ok(Self {
            source,
            state: files.state,
            plane: files.plane,
            socket: files.socket,
            memory: common.control_plane == Some(Plane::Memory),
            target,
            config,
        })
    }

    /// Whether the source is a directory. Asked before anything is opened or made.
    ///
    /// # Errors
    /// A mistake of usage, whoever named the source.
    pub(super) fn source_is_there(&self) -> Result<(), CliError> {
        let dir = self.source.display();
        let said = match std::fs::metadata(&self.source) {
            Ok(stat) if stat.is_dir() => return Ok(()),
            Ok(_) => format!("`{dir}` is not a directory{NAME_ONE}"),
            Err(error) if error.kind() == ErrorKind::NotFound => missing(&self.source),
            Err(error) => format!("the source `{dir}` cannot be read: {error}{NAME_ONE}"),
        };
        Err(CliError::usage(said))
    }

    /// Logs what is legal in the configuration and seldom meant.
    pub(super) fn warn(&self) {
        for warning in &self.config.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// The source as files.
    ///
    /// # Errors
    /// Never after the configuration was read: its patterns were compiled there.
    pub(super) fn files(&self) -> Result<Directory, CliError> {
        let source = &self.config.source;
        let globs = Globs::new(&source.include, &source.exclude)
            .map_err(|error| CliError::new(error.to_string()))?;
        let places = Places {
            dir: self.config.secrets.dir.clone(),
            roots: self.config.secrets.roots.clone(),
            environment: std::env::vars_os().collect(),
        };
        Ok(Directory::new(&self.source, globs).with_places(places))
    }

    /// What runs the commands of labels, in the agent's environment cut down to what they may see.
    pub(super) fn runner(&self) -> Runner {
        let DynamicLabels { allow, environment, .. } = &self.config.kubernetes.dynamic_labels;
        let environment = Environment::of(std::env::vars_os(), environment);
        let reaper = Reaper::new(this_program(), REAPER);
        Runner::new(self.source.clone(), allow.clone(), environment).with_reaper(reaper)
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

    /// What decides by label.
    pub(super) fn labels(&self) -> Rules {
        let Kubernetes { selectors, dynamic_labels, services: _ } = &self.config.kubernetes;
        Rules {
            listed: *selectors != Selectors::everything(),
            selectors: selectors.clone(),
            mode: dynamic_labels.mode,
            on_failure: dynamic_labels.on_failure,
            allow: dynamic_labels.allow.clone(),
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
            labels: self.labels(),
            command_timeout: self.config.kubernetes.dynamic_labels.timeout,
            planted: None,
        }
    }
}

/// The file of this very process, even if another version has taken its place by now.
fn this_program() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { running } else { std::env::current_exe().unwrap_or(running) }
}

/// What to do about a source that is none.
const NAME_ONE: &str = "; pass the directory of manifests (`reconciler DIR`) or set `source.path`";

/// A mistyped command looks like a directory.
fn missing(dir: &Path) -> String {
    let typed = dir.to_string_lossy();
    let command = Args::command();
    match suggest::nearest(&typed, command.get_subcommands().map(clap::Command::get_name)) {
        Some(word) => {
            format!("no such directory: `{typed}`; did you mean the command `{word}`?")
        }
        None => format!("no such directory: `{typed}`{NAME_ONE}"),
    }
}

/// `--control-plane` wins over the configuration, for rehearsals.
fn target(common: &Common, config: &Config) -> Result<Target, CliError> {
    let embedded = ControlPlane::embedded();
    let chosen = match (common.control_plane, &config.control_plane) {
        (Some(Plane::Embedded | Plane::Memory), ControlPlane::Teleport { .. }) => &embedded,
        (_, configured) => configured,
    };
    match chosen {
        ControlPlane::Embedded { provision, lag, faults } => {
            let settings = Settings {
                provisioning: *provision,
                lag: *lag,
                services: played(config),
                ..Settings::default()
            };
            let faults = faults.parse().map_err(|error| {
                CliError::new(format!("configuration: `control_plane.faults`: {error}"))
            })?;
            Ok(Target::Embedded { settings, faults })
        }
        ControlPlane::Teleport { address, credentials, ca_file } => {
            let proxy = HttpProxy::read(&either("HTTPS_PROXY"), &either("NO_PROXY"));
            let upgrade = upgrade(&variable(UPGRADE), &address.to_string());
            Ok(Target::Teleport(Remote {
                address: address.clone(),
                credentials: credentials.clone(),
                ca_file: ca_file.clone(),
                proxy: proxy.map_err(CliError::new)?,
                upgrade: upgrade.map_err(CliError::new)?,
            }))
        }
    }
}

/// The embedded plane plays the Kubernetes Services that the configuration describes.
pub(super) fn played(config: &Config) -> Vec<KubeService> {
    let services = config.kubernetes.services.iter();
    let one = |it: &Service| KubeService {
        name: it.name.clone(),
        resources: it.resources.items().to_vec(),
    };
    services.map(one).collect()
}

/// The official clients' variable: whether a load balancer before the proxy ends TLS.
const UPGRADE: &str = "TELEPORT_TLS_ROUTING_CONN_UPGRADE";

/// A variable in capitals, or else in small letters, as other programs take them.
fn either(name: &str) -> String {
    let text = variable(name);
    if text.is_empty() { variable(&name.to_lowercase()) } else { text }
}

fn variable(name: &str) -> String {
    std::env::var_os(name).unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads `yes`, or a list of `ADDRESS=yes`, separated by `,` or `;`.
fn upgrade(text: &str, address: &str) -> Result<Option<bool>, String> {
    let mut general = None;
    for entry in text.split([',', ';']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let (of, word) = match entry.split_once('=') {
            Some((of, word)) => (Some(of.trim()), word.trim()),
            None => (None, entry),
        };
        let said = match word.to_lowercase().as_str() {
            "1" | "t" | "true" | "yes" | "y" | "on" => true,
            "0" | "f" | "false" | "no" | "n" | "off" => false,
            _ => return Err(format!("{UPGRADE}: `{word}` is not a boolean")),
        };
        match of {
            Some(of) if of == address => return Ok(Some(said)),
            Some(_) => {}
            None => general = Some(said),
        }
    }
    Ok(general)
}

#[cfg(test)]
mod tests {
    use super::upgrade;

    #[test]
    fn whether_connections_are_upgraded() {
        let table = [
            ("", Ok(None)),
            ("yes", Ok(Some(true))),
            ("false", Ok(Some(false))),
            ("a:443=true; b:443=no", Ok(Some(true))),
            ("b:443=no,true", Ok(Some(true))),
            ("b:443=no", Ok(None)),
        ];
        for (text, expected) in table {
            assert_eq!(upgrade(text, "a:443"), expected, "{text}");
        }
        assert!(upgrade("perhaps", "a:443").is_err());
    }
}
