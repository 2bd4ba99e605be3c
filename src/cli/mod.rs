//! Arguments, output, exit codes. Deliberately absent: rules.

mod agent;
mod args;
mod control;
mod doctor;
mod error;
pub mod exit;
mod foretell;
mod kinds;
mod kubeconfig;
mod load;
mod log;
mod plane;
mod report;
mod resources;
mod rights;
mod served;
mod session;
mod setup;
mod show;
mod signals;
mod survey;
mod table;

use std::io::Write as _;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use tokio::runtime::Builder;

use anstream::{AutoStream, ColorChoice};
use args::{Args, Color, Command, Common, KubeCommand, LogFormat, PlaneCommand, RunArgs};
use error::CliError;
pub use exit::Exit;
use report::Streams;
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
    if let Some(Command::Completions { shell }) = &args.command {
        // It panics when it cannot write; memory it can.
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Args::command(), "reconciler", &mut script);
        to.print(&String::from_utf8_lossy(&script))?;
        return Ok(Exit::Done);
    }
    if let Some(Command::EndOrphans) = &args.command {
        end_orphans(std::io::stdin());
        return Ok(Exit::Done);
    }
    let clock = System::start();
    log::start(&args.common, &clock);
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

async fn dispatch(args: &Args, clock: &System, to: &mut Streams<'_>) -> Result<Exit, CliError> {
    let common = &args.common;
    let RunArgs { dir, dry_run, once, .. } = &args.run;
    if args.command.is_some() && (dir.is_some() || *dry_run || *once) {
        let text = "a directory, --dry-run and --once are for the agent; they go without a command";
        return Err(CliError::usage(text));
    }
    match &args.command {
        None => {
            let run = &args.run;
            let setup = Setup::new(common, run.dir.as_deref())?;
            setup.warn();
            if run.dry_run {
                return report::plan(&setup, run.format, run.detailed_exitcode, clock, to).await;
            }
            // A configured directory may be mounted later: the agent waits for it. Anything else
            // is a mistake, and a single pass waits for nobody.
            let may_come = !run.once && run.dir.is_none() && setup.config.file.is_some();
            if !may_come || setup.source.exists() {
                setup.source_is_there()?;
            }
            let mode = if run.once { Mode::Once } else { Mode::Run };
            agent::run(&setup, mode, common, clock).await
        }
        Some(Command::Plan { dir, detailed_exitcode, format }) => {
            let setup = Setup::new(common, dir.as_deref())?;
            setup.warn();
            report::plan(&setup, *format, *detailed_exitcode, clock, to).await
        }
        Some(Command::Validate { dir, format }) => {
            let setup = Setup::new(common, dir.as_deref())?;
            setup.warn();
            report::validate(&setup, *format, clock, to).await
        }
        Some(Command::Kubeconfig(command)) => kubeconfig::run(command, to).await,
        Some(command) => on_state(command, common, clock, to).await,
    }
}

/// The commands that take no directory.
async fn on_state(
    command: &Command,
    common: &Common,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let setup = Setup::new(common, None::<&Path>)?;
    match command {
        Command::Status { format } => return show::status(&setup, *format, clock, to).await,
        Command::Doctor => return doctor::doctor(&setup, clock, to).await,
        Command::Kube(KubeCommand::Ls { format, quiet, unserved }) => {
            setup.warn();
            let session = Session::open(&setup, Access::Read, "kube ls", clock).await?;
            let view = served::View {
                format: *format,
                quiet: *quiet,
                verbose: common.verbose > 0,
                unserved: *unserved,
            };
            return served::ls(&setup, &session, view, to).await;
        }
        Command::Kube(KubeCommand::Match { labels, name, detailed_exitcode, format }) => {
            setup.warn();
            let answer = match name {
                Some(name) => foretell::declared(&setup, name, clock).await?,
                None => foretell::Answer::new(&setup.config.kubernetes, labels)?,
            };
            return answer.print(*format, *detailed_exitcode, to);
        }
        Command::Approve { hash } => return report::approve(&setup, hash, clock, to).await,
        Command::History { what, limit } => {
            return report::history(&setup, what.as_deref(), *limit, to);
        }
        Command::Get { what, format } => {
            let session = Session::open(&setup, Access::Read, "get", clock).await?;
            resources::get(&session, what, *format, Secrets::Masked, to.out).await?;
        }
        Command::Wait { what, gone, timeout } => {
            resources::wait(&setup, what, *gone, timeout, clock).await?;
        }
        Command::Plane(PlaneCommand::Serve { listen, load }) => {
            return plane::serve(&setup, *listen, load.as_deref(), clock, to).await;
        }
        Command::Plane(command @ PlaneCommand::Identity { .. }) => {
            return plane::identity(&setup, command, clock, to).await;
        }
        Command::Plane(command) => {
            let access = match command {
                PlaneCommand::Get { .. }
                | PlaneCommand::Calls
                | PlaneCommand::Services
                | PlaneCommand::Serve { .. }
                | PlaneCommand::Identity { .. } => Access::Read,
                PlaneCommand::Set { .. } | PlaneCommand::Rm { .. } => Access::Change,
            };
            if let Target::Teleport(_) = setup.target {
                let message = "`plane` is for the embedded control plane; use tctl with this one";
                return Err(CliError::usage(message));
            }
            let session = Session::open(&setup, access, "plane", clock).await?;
            resources::plane(&session, command, to.out).await?;
        }
        Command::Plan { .. }
        | Command::Validate { .. }
        | Command::Kubeconfig(_)
        | Command::EndOrphans
        | Command::Completions { .. } => {}
    }
    Ok(Exit::Done)
}
