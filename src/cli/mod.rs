//! Arguments, output, exit codes. Deliberately absent: rules.

mod agent;
mod args;
mod control;
mod doctor;
mod error;
pub mod exit;
mod kinds;
mod kube_ls;
mod kube_match;
mod kubeconfig;
mod load;
mod log;
mod output;
mod plane;
mod preview;
mod report;
mod resources;
mod rights;
mod session;
mod setup;
mod signals;
mod status;
mod table;

use std::io::Write as _;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use tokio::runtime::Builder;

use anstream::{AutoStream, ColorChoice};
use args::{Args, Color, Command, Common, Format, KubeCommand, LogFormat, PlaneCommand, RunArgs};
use error::CliError;
pub use exit::Exit;
use output::Streams;
use resources::Secrets;
use session::{Access, Session};
use setup::{Setup, Target};

use crate::adapter::clock::System;
use crate::adapter::commands::end_orphans;
use crate::engine::Mode;

/// Runs the program with the arguments of its process.
pub fn main() -> Exit {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            return match error.print().map_err(|failed| CliError::output(&failed)) {
                _ if error.use_stderr() => Exit::Usage,
                Ok(()) => Exit::Done,
                Err(CliError { message, exit }) => {
                    if !message.is_empty() {
                        drop(writeln!(std::io::stderr(), "error: {message}"));
                    }
                    exit
                }
            };
        }
    };
    let choice = color_choice(args.common.color);
    let mut out = AutoStream::new(std::io::stdout(), choice);
    let mut err = AutoStream::new(std::io::stderr(), choice);
    let mut to = Streams {
        out: &mut out,
        err: &mut err,
        color: args.common.color,
        log: args.common.log_format,
    };
    let ended = start(&args, &mut to).and_then(|exit| {
        to.out.flush().map_err(|error| CliError::output(&error))?;
        Ok(exit)
    });
    match ended {
        Ok(exit) => exit,
        Err(error) => {
            say(&error, &mut to);
            error.exit
        }
    }
}

/// What is coloured on purpose goes through, wherever it goes to.
const fn color_choice(color: Color) -> ColorChoice {
    match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::AlwaysAnsi,
        Color::Never => ColorChoice::Never,
    }
}

/// The last word of a command that failed.
fn say(error: &CliError, to: &mut Streams<'_>) {
    match to.log {
        _ if error.message.is_empty() => {}
        LogFormat::Human => drop(to.remark(&format!("error: {}\n", error.message))),
        LogFormat::Json => tracing::error!("{}", error.message),
    }
}

fn start(args: &Args, to: &mut Streams<'_>) -> Result<Exit, CliError> {
    let clock = System::start();
    // There the first `-v` means tsh's: wider columns.
    let is_listing = matches!(&args.command, Some(Command::Kube(KubeCommand::Ls { .. })));
    let verbose = args.common.verbose.saturating_sub(u8::from(is_listing));
    log::start(&args.common, verbose, &clock);
    let runtime = runtime(args)
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("cannot start: {error}")))?;
    runtime.block_on(dispatch(args, &clock, to))
}

/// Threads for what goes on and serves others. One thread is enough for one look, and keeps less
/// memory than several.
fn runtime(args: &Args) -> Builder {
    let goes_on = match &args.command {
        None => !args.run.dry_run,
        Some(command) => matches!(command, Command::Plane(PlaneCommand::Serve { .. })),
    };
    if goes_on { Builder::new_multi_thread() } else { Builder::new_current_thread() }
}

/// Every command has its arm here or in [`kube`] or [`plane_command`], and each arm says how it
/// ends.
async fn dispatch(args: &Args, clock: &System, to: &mut Streams<'_>) -> Result<Exit, CliError> {
    let common = &args.common;
    let Some(command) = &args.command else { return run(&args.run, common, clock, to).await };
    let RunArgs { dir, dry_run, once, .. } = &args.run;
    if dir.is_some() || *dry_run || *once {
        let text = "a directory, --dry-run and --once cannot be combined with a command";
        return Err(CliError::usage(text));
    }
    let setup = || Setup::new(common, None::<&Path>);
    match command {
        Command::Plan { dir, detailed_exitcode, format } => {
            let setup = Setup::new(common, dir.as_deref())?;
            setup.warn();
            report::plan(&setup, *format, *detailed_exitcode, clock, to).await
        }
        Command::Validate { dir, format } => {
            let setup = Setup::new(common, dir.as_deref())?;
            setup.warn();
            report::validate(&setup, *format, clock, to).await
        }
        Command::Status { format } => status::status(&setup()?, *format, clock, to).await,
        Command::Get { what, format } => {
            let setup = setup()?;
            note_nothing_there(&setup, to)?;
            let session = Session::open(&setup, Access::Read, "get", clock).await?;
            resources::get(&session, what, *format, Secrets::Masked, to.out).await?;
            Ok(Exit::Done)
        }
        Command::Wait { what, gone, timeout } => {
            let setup = setup()?;
            note_nothing_there(&setup, to)?;
            resources::wait(&setup, what, *gone, timeout, clock).await?;
            Ok(Exit::Done)
        }
        Command::History { what, limit } => {
            let setup = setup()?;
            note_nothing_there(&setup, to)?;
            report::history(&setup, what.as_deref(), *limit, to)
        }
        Command::Approve { hash } => report::approve(&setup()?, hash, clock, to).await,
        Command::Doctor => doctor::doctor(&setup()?, clock, to).await,
        Command::Kube(command) => kube(command, &setup()?, common, clock, to).await,
        Command::Plane(command) => plane_command(command, &setup()?, clock, to).await,
        Command::Kubeconfig(command) => kubeconfig::run(command, to).await,
        Command::Completions { shell } => {
            // It panics when it cannot write; memory it can.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "reconciler", &mut script);
            to.print(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Done)
        }
        Command::EndOrphans => {
            // Blocks the one thread of this process, which has nothing else to do.
            end_orphans(std::io::stdin());
            Ok(Exit::Done)
        }
    }
}

/// Says that the embedded control plane is an empty one, because nobody has begun here: whoever
/// stands in another directory than the agent would take it for the agent's.
fn note_nothing_there(setup: &Setup, to: &mut Streams<'_>) -> Result<(), CliError> {
    let is_embedded = matches!(setup.target, Target::Embedded { .. });
    if !is_embedded || setup.memory || setup.state.exists() || setup.socket.exists() {
        return Ok(());
    }
    let state = setup.state.display();
    to.remark(&format!("note: no agent has run with the state {state}; see --state\n"))
}

/// The agent, a preview, or a single pass.
async fn run(
    args: &RunArgs,
    common: &Common,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let RunArgs { dir, dry_run, once, detailed_exitcode, format } = args;
    let setup = Setup::new(common, dir.as_deref())?;
    setup.warn();
    if *dry_run {
        return report::plan(&setup, *format, *detailed_exitcode, clock, to).await;
    }
    // A configured directory may be mounted later: the agent waits for it. Anything else
    // is a mistake, and a single pass waits for nobody.
    let may_come = !once && dir.is_none() && setup.config.file.is_some();
    if !may_come || setup.source.exists() {
        setup.source_is_there()?;
    }
    let mode = if *once { Mode::Once } else { Mode::Run };
    agent::run(&setup, mode, common, clock).await
}

async fn kube(
    command: &KubeCommand,
    setup: &Setup,
    common: &Common,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    setup.warn();
    match command {
        KubeCommand::Ls { format, quiet, unserved } => {
            note_nothing_there(setup, to)?;
            let session = Session::open(setup, Access::Read, "kube ls", clock).await?;
            let view = kube_ls::View {
                format: *format,
                quiet: *quiet,
                verbose: common.verbose > 0,
                unserved: *unserved,
            };
            kube_ls::ls(setup, &session, view, to).await
        }
        KubeCommand::Match { labels, name, detailed_exitcode, format } => {
            let answer = match name {
                Some(name) => kube_match::declared(setup, name, clock).await?,
                None => kube_match::Answer::new(&setup.config.kubernetes, labels)?,
            };
            answer.print(*format, *detailed_exitcode, to)
        }
    }
}

async fn plane_command(
    command: &PlaneCommand,
    setup: &Setup,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let by_hand = async |access: Access| {
        if let Target::Teleport(_) = setup.target {
            let message = "`plane` works on the embedded control plane only; use tctl for Teleport";
            return Err(CliError::usage(message));
        }
        Session::open(setup, access, "plane", clock).await
    };
    let serves = matches!(command, PlaneCommand::Serve { .. } | PlaneCommand::Identity(_));
    if !serves {
        note_nothing_there(setup, to)?;
    }
    match command {
        PlaneCommand::Serve { listen, load } => {
            return plane::serve(setup, *listen, load.as_deref(), clock, to).await;
        }
        PlaneCommand::Identity(wanted) => return plane::identity(setup, wanted, clock, to).await,
        PlaneCommand::Get { what } => {
            let session = by_hand(Access::Read).await?;
            resources::get(&session, what, Format::Text, Secrets::Clear, to.out).await?;
        }
        PlaneCommand::Set { file } => {
            resources::set(&by_hand(Access::Change).await?, file, to.out).await?;
        }
        PlaneCommand::Rm { what } => {
            resources::rm(&by_hand(Access::Change).await?, what, to.out).await?;
        }
        PlaneCommand::Calls => {
            let session = by_hand(Access::Read).await?;
            resources::print_answer(&session, resources::CALLS, to.out).await?;
        }
        PlaneCommand::Services => {
            let session = by_hand(Access::Read).await?;
            resources::print_answer(&session, resources::SERVICES, to.out).await?;
        }
    }
    Ok(Exit::Done)
}
