//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// What [`super::exit`] says, for `--help`.
const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  error
   2  changes pending, or no certain match (only with --detailed-exitcode)
   3  refused by a guard, or waiting for approval
  64  usage: wrong command line, or the source is not a directory
If several apply, 1 comes before 3, and 3 before 2.";

/// Keeps a Teleport installation in sync with a directory of YAML manifests.
#[derive(Debug, Parser)]
#[command(
    name = "reconciler",
    version,
    after_help = EXIT_CODES
)]
pub(super) struct Args {
    /// What to run; without a command, the agent.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How the agent, the preview or the single pass is run.
    #[command(flatten)]
    pub run: RunArgs,

    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of the agent itself.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Directory of manifests [default: `source.path` of the configuration, or desired-state]
    pub dir: Option<PathBuf>,

    /// Preview: print the plan and change nothing
    #[arg(long, conflicts_with = "once")]
    pub dry_run: bool,

    /// Reconcile once, wait until everything has converged, then exit
    #[arg(long)]
    pub once: bool,

    /// With --dry-run: exit 2 if there are changes (3 if any of them waits for approval)
    #[arg(long, requires = "dry_run")]
    pub detailed_exitcode: bool,

    /// With --dry-run: output format
    #[arg(long, value_enum, default_value_t = PlanFormat::Text, requires = "dry_run")]
    pub format: PlanFormat,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Configuration file [default: `$RECONCILER_CONFIG`, ./reconciler.toml, then
    /// /etc/reconciler/reconciler.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// State database; the embedded control plane keeps its own beside it
    #[arg(long, global = true, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Use an embedded control plane, whatever the configuration says
    #[arg(long, global = true, value_enum)]
    pub control_plane: Option<ControlPlane>,

    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// Format of the log on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,

    /// Increase verbosity (-vv: debug output of libraries too)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Preview: print the plan and change nothing (as --dry-run)
    Plan {
        /// Directory of manifests
        dir: Option<PathBuf>,
        /// Exit 2 if there are changes (3 if any of them waits for approval)
        #[arg(long)]
        detailed_exitcode: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
        format: PlanFormat,
    },
    /// Check the manifests offline
    Validate {
        /// Directory of manifests
        dir: Option<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show agent and resource status
    Status {
        /// Output format
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Print live resources as manifests, with secrets as fingerprints
    Get {
        /// KIND or KIND/NAME
        what: String,
        /// Output format
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Wait until a resource exists and is ready
    Wait {
        /// KIND/NAME
        what: String,
        /// Wait until it no longer exists instead
        #[arg(long)]
        gone: bool,
        /// Give up after this Go duration (90s, 5m, 1h30m)
        #[arg(long, default_value = "5m")]
        timeout: String,
    },
    /// Show what was done, newest last
    History {
        /// Only this resource (KIND/NAME)
        what: Option<String>,
        /// Maximum number of entries
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Approve one plan that a guard holds, once
    Approve {
        /// Hash shown by the plan or by `status`; eight digits are enough
        hash: String,
    },
    /// Diagnose connection, versions and permissions; print the role that is missing
    Doctor,
    /// Show which Kubernetes clusters are served, or would be
    #[command(subcommand)]
    Kube(KubeCommand),
    /// Inspect, change or serve the embedded control plane
    #[command(subcommand)]
    Plane(PlaneCommand),
    /// Check or create kubeconfigs for Teleport Kubernetes Services
    #[command(subcommand)]
    Kubeconfig(KubeconfigCommand),
    /// Print shell completions
    Completions {
        /// Target shell
        shell: clap_complete::Shell,
    },
    /// Runs beside an agent and ends its label commands if the agent is killed
    #[command(hide = true)]
    EndOrphans,
}

/// Kubeconfigs for Teleport Kubernetes Services.
#[derive(Debug, Subcommand)]
pub(super) enum KubeconfigCommand {
    /// Check whether a kubeconfig works on another host
    Check {
        /// File, or `-` for standard input
        file: PathBuf,
    },
    /// Create a service account in a cluster and a kubeconfig with its token (using kubectl)
    Create {
        /// Context of your own kubeconfig that leads to the cluster
        #[arg(long, value_name = "NAME")]
        context: String,
        /// Namespace of the service account
        #[arg(long, default_value = "teleport")]
        namespace: String,
        /// Output file; must not exist
        #[arg(short, long, default_value = "kubeconfig", value_name = "FILE")]
        output: PathBuf,
        /// Print what would be done and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Questions about Kubernetes clusters.
#[derive(Debug, Subcommand)]
pub(super) enum KubeCommand {
    /// Show whether labels, or a declared cluster, match a selector, and which services would serve
    /// it; labels alone need no manifest and say nothing about credentials
    Match {
        /// Labels as KEY=VALUE; KEY alone is a label whose value is not known yet
        #[arg(value_name = "LABEL", required_unless_present = "name")]
        labels: Vec<String>,
        /// A declared cluster instead of labels; takes its credentials, the last known values of
        /// its dynamic labels and its live state into account
        #[arg(long, value_name = "CLUSTER", conflicts_with = "labels")]
        name: Option<String>,
        /// Exit 2 unless a selector certainly matches
        #[arg(long)]
        detailed_exitcode: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// List served clusters as `tsh kube ls` does (-v: all labels), then clusters nobody serves
    Ls {
        /// Output format
        #[arg(short, long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
        /// Names and labels only
        #[arg(short, long)]
        quiet: bool,
        /// Only clusters that no service serves, or serves any longer
        #[arg(long)]
        unserved: bool,
    },
}

/// How `kube ls` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// Table
    Text,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

/// The embedded control plane.
#[derive(Debug, Subcommand)]
pub(super) enum PlaneCommand {
    /// Print live resources, with secrets in clear
    Get {
        /// KIND or KIND/NAME
        what: String,
    },
    /// Create or overwrite resources from a YAML file
    Set {
        /// File, or `-` for standard input
        file: PathBuf,
    },
    /// Delete a resource
    Rm {
        /// KIND/NAME
        what: String,
    },
    /// Show how often each method was called
    Calls,
    /// Show what its Kubernetes Services serve, and why they fail
    Services,
    /// Serve it over mutual TLS like a Teleport Auth Service (`--state memory`: keep nothing)
    Serve {
        /// Listen address; port 0 picks a free port, and the address is printed
        #[arg(long, default_value = "127.0.0.1:3025", value_name = "ADDR")]
        listen: std::net::SocketAddr,
        /// Directory of manifests to load before the first call
        #[arg(long, value_name = "DIR")]
        load: Option<PathBuf>,
    },
    /// Issue an identity for it; the file holds a private key
    Identity(IdentityArgs),
}

/// What an identity is issued for.
#[derive(Debug, clap::Args)]
pub(super) struct IdentityArgs {
    /// User name; the user need not exist
    #[arg(long)]
    pub user: String,
    /// Role names, separated by commas
    #[arg(long, required = true, value_delimiter = ',')]
    pub roles: Vec<String>,
    /// Output file; with `--format tls`, the common prefix of three files
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Validity, as a Go duration
    #[arg(long, default_value = "12h")]
    pub ttl: String,
    /// One identity file, or separate certificate, key and CA files
    #[arg(long, value_enum, default_value_t = IdentityFormat::File)]
    pub format: IdentityFormat,
}

/// How an identity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum IdentityFormat {
    /// One file, as written by `tctl auth sign`
    File,
    /// Three files: `.crt`, `.key` and `.cas`
    Tls,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people; resources as YAML
    Text,
    /// For programs; with a `format_version`, except lists of resources
    Json,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    /// For people
    Text,
    /// For programs, with a `format_version`
    Json,
    /// For a comment on a pull request
    Markdown,
}

/// An embedded control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ControlPlane {
    /// Kept beside the state database
    Embedded,
    /// In memory; it and the journal are discarded at the end
    Memory,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Text lines
    Human,
    /// One JSON object per line
    Json,
}
