//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Keeps a Teleport installation equal to a directory of YAML manifests.
#[derive(Debug, Parser)]
#[command(
    name = "reconciler",
    version,
    after_help = "Exit codes: 0 done; 1 error; 2 changes pending, or no match (only with --detailed-exitcode); \
                  3 refused by a guard or waiting for approval; 64 usage."
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
    /// The directory of manifests [default: desired-state, or `source.path` of the configuration]
    pub dir: Option<PathBuf>,

    /// Preview: print the plan and change nothing
    #[arg(long, conflicts_with = "once")]
    pub dry_run: bool,

    /// One pass to convergence, waits included, then exit
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
    /// The configuration [default: `$RECONCILER_CONFIG`, ./reconciler.toml, then
    /// /etc/reconciler/reconciler.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The journal's database; the embedded control plane's lies beside it
    #[arg(long, global = true, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Which control plane: `memory` is an embedded one that is thrown away
    #[arg(long, global = true, value_enum)]
    pub control_plane: Option<ControlPlane>,

    /// Colours: `auto` means on a terminal
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// How log lines are written to stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,

    /// Say more; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Preview: print the plan and change nothing
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
    /// Check the manifests without any control plane
    Validate {
        /// The directory of manifests
        dir: Option<PathBuf>,
        /// How findings are printed
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// How the agent and its resources are
    Status {
        /// How it is printed
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Print live resources as manifests, secrets as fingerprints
    Get {
        /// KIND or KIND/NAME
        what: String,
        /// How they are printed
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Wait until a resource is there and ready
    Wait {
        /// KIND/NAME
        what: String,
        /// Wait until it is gone instead
        #[arg(long)]
        gone: bool,
        /// Give up after this long, as Go writes durations
        #[arg(long, default_value = "5m")]
        timeout: String,
    },
    /// What was done, newest last
    History {
        /// Only this resource, KIND/NAME
        what: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Let one guarded plan through, once
    Approve {
        /// The hash that the plan or `status` showed; eight digits are enough
        hash: String,
    },
    /// What stands between this agent and its control plane, with the role that is missing
    Doctor,
    /// Kubernetes clusters: who serves them, and who would
    #[command(subcommand)]
    Kube(KubeCommand),
    /// The embedded control plane, by hand
    #[command(subcommand)]
    Plane(PlaneCommand),
    /// Kubeconfigs for Teleport Kubernetes Services
    #[command(subcommand)]
    Kubeconfig(KubeconfigCommand),
    /// Shell completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// The process beside an agent that ends its label commands when the agent was killed
    #[command(hide = true)]
    EndOrphans,
}

/// Judging and making kubeconfigs.
#[derive(Debug, Subcommand)]
pub(super) enum KubeconfigCommand {
    /// Say whether another host could use a kubeconfig
    Check {
        /// The file; `-` is standard input
        file: PathBuf,
    },
    /// Make a service account in a cluster, and a kubeconfig with its token (through `kubectl`)
    Create {
        /// Which of your own contexts leads to the cluster
        #[arg(long, value_name = "NAME")]
        context: String,
        /// Where the service account lives
        #[arg(long, default_value = "teleport")]
        namespace: String,
        /// The file to write, which must not exist
        #[arg(short, long, default_value = "kubeconfig", value_name = "FILE")]
        output: PathBuf,
        /// Say what would be done and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Questions about Kubernetes clusters.
#[derive(Debug, Subcommand)]
pub(super) enum KubeCommand {
    /// Whether a cluster of these labels is registered, and who serves it; labels alone need
    /// neither a file nor a cluster, and say nothing about credentials
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
    /// List what is served, as `tsh kube ls` does (`-v`: all labels), and what is served by nobody
    Ls {
        /// How the list is printed
        #[arg(short, long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
        /// Only names and labels
        #[arg(short, long)]
        quiet: bool,
        /// Only what is registered and served by nobody, or listed and served no more
        #[arg(long)]
        unserved: bool,
    },
}

/// How `kube ls` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// A table
    Text,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

/// Changing the live side by hand, for trying drift.
#[derive(Debug, Subcommand)]
pub(super) enum PlaneCommand {
    /// Print live resources as they are, secrets in clear
    Get {
        /// KIND or KIND/NAME
        what: String,
    },
    /// Create or change resources from a YAML file (`-`: standard input)
    Set {
        /// The file
        file: PathBuf,
    },
    /// Remove a resource
    Rm {
        /// KIND/NAME
        what: String,
    },
    /// How often each method was called
    Calls,
    /// What its Kubernetes Services serve, and why their rounds fail
    Services,
    /// Serve it over mutual TLS, as a Teleport Auth Service; `--state memory` keeps nothing
    Serve {
        /// Where to listen; port 0 takes a free one. The address is printed
        #[arg(long, default_value = "127.0.0.1:3025", value_name = "ADDR")]
        listen: std::net::SocketAddr,
        /// A directory of manifests that exist before the first call
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
    /// One file, as `tctl auth sign` writes it
    File,
    /// `.crt`, `.key` and `.cas`
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

/// Which control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ControlPlane {
    /// The embedded one, kept beside the journal
    Embedded,
    /// The embedded one, with a journal, both thrown away at the end
    Memory,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Yes
    Always,
    /// No
    Never,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Human,
    /// One JSON object a line
    Json,
}
