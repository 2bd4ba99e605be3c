//! The agent itself: everything put together and run.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;

use super::args::{Common, LogFormat};
use super::control::{Socket, pass_on, switch};
use super::error::{CliError, chain};
use super::exit::Exit;
use super::log::{self, colour};
use super::session::Session;
use super::setup::Setup;
use super::signals::{Shutdown, ShutdownSignals};
use crate::adapter::clock::System;
use crate::adapter::entropy::Seeded;
use crate::adapter::watch::SourceWatch;
use crate::driver::{ControlRequest, OnReading, World, drive};
use crate::engine::{Engine, Mode, Outcome};
use crate::labels::findings::named;
use crate::labels::resolve::Rules;
use crate::manifest::{Reading, Snapshot, render};
use crate::model::{Code, Diagnostic};
use crate::plane::serve::serve_connections;
use crate::port::Entropy as _;

/// Questions that may wait for the agent.
const ASKED_MAX: usize = 16;

/// Runs the agent for ever, or for one pass.
///
/// # Errors
/// A state that another process holds or that cannot be opened; a part of the agent that died.
pub(super) async fn run(
    setup: &Setup,
    mode: Mode,
    common: &Common,
    clock: &System,
) -> Result<Exit, CliError> {
    let session = Session::owning(setup, "reconciler", clock)?;
    let entropy = Seeded::from_system().map_err(|error| CliError::new(error.to_string()))?;
    let mut engine = Engine::new(setup.engine(mode), session.key.clone(), entropy.stream("engine"));
    let Some(storage) = session.storage.clone() else {
        return Err(CliError::new("internal error: the state was opened read-only"));
    };
    let wishes = ShutdownSignals::listen(clock)?;
    let (ask, asked) = mpsc::channel(ASKED_MAX);
    let stop = CancellationToken::new();
    let served = CancellationToken::new();
    let socket = if setup.memory { None } else { Some(Socket::bind(&setup.socket)?) };
    let secrets = &setup.config.secrets.dir;
    let world = World {
        cluster: session.cluster.clone(),
        files: Arc::new(setup.files()?),
        commands: Arc::new(setup.runner()),
        source: SourceWatch::new(&setup.source, setup.config.source.resync),
        secrets: secrets.as_ref().map(|dir| SourceWatch::new(dir, setup.config.source.resync)),
        storage,
        clock: Arc::new(*clock),
        owner: setup.config.agent.name.clone(),
        key: session.key.clone(),
        on_reading: show_findings(
            colour(common.color, std::io::stderr().is_terminal()),
            common.log_format,
            setup.labels(),
            setup.config.agent.name.clone(),
        ),
    };
    tracing::info!(
        "{} {}, state in {}",
        match mode {
            Mode::Run => "watching",
            Mode::Once => "reading",
        },
        setup.source.display(),
        if setup.memory { "memory".to_owned() } else { setup.state.display().to_string() }
    );
    if let Some(teleport) = &session.teleport {
        let names = &teleport.identity().names;
        tracing::info!(
            "identity {} of cluster `{}`, valid until {}",
            names.user,
            names.cluster,
            names.not_after
        );
    }
    let serving = serve(socket, &session, ask, &served);
    let driving = async {
        let ended = drive(&mut engine, world, asked, stop.clone()).await;
        served.cancel();
        ended
    };
    let (ended, served, ()) = tokio::join!(driving, serving, signals(wishes, &stop, &served));
    ended.map_err(|error| CliError::new(chain(&error)))?;
    served?;
    if let Some(plane) = &session.plane {
        plane.close().await;
    }
    Ok(exit_of(engine.outcome()))
}

/// Adds what the configuration says of labels to the findings of a reading, and shows on stderr
/// those that the last reading did not have. That one moved within its file is no news.
fn show_findings(coloured: bool, format: LogFormat, rules: Rules, owner: String) -> OnReading {
    let last = Mutex::new(BTreeSet::new());
    Arc::new(move |snapshot: &Snapshot, reading: &mut Reading| {
        let mut named = named(reading, snapshot, &rules, &owner);
        reading.findings.append(&mut named.findings);
        reading.findings.sort();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = |it: &&Diagnostic| !last.contains(&what(it));
        let news: Vec<Diagnostic> = reading.findings.iter().filter(is_news).cloned().collect();
        *last = reading.findings.iter().map(what).collect();
        if news.is_empty() {
            return;
        }
        match format {
            LogFormat::Human => {
                let text = render::text(&news, snapshot, coloured);
                // Who does not read stderr any more misses the findings, and nothing else.
                drop(std::io::stderr().write_all(text.as_bytes()));
            }
            LogFormat::Json => log::findings(&news, snapshot),
        }
    })
}

/// What a finding says, wherever in its file.
fn what(finding: &Diagnostic) -> (Arc<str>, Code, String) {
    (Arc::clone(&finding.at.path), finding.code, finding.message.clone())
}

/// Answers on the socket until told to stop.
async fn serve(
    socket: Option<Socket>,
    session: &Session,
    asked: mpsc::Sender<ControlRequest>,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let Some(Socket { listener, file: _file }) = socket else {
        stop.cancelled().await;
        drop(asked);
        return Ok(());
    };
    let incoming = UnixListenerStream::new(listener);
    let plane = match &session.plane {
        Some(plane) => plane.service(),
        None => pass_on(session.cluster.service().clone()),
    };
    let ended = serve_connections(switch(plane, asked), incoming, stop.cancelled()).await;
    ended.map_err(|error| CliError::new(chain(&error)))
}

/// Turns the first wish to end into one to finish; the second ends at once, with a journal that
/// is read back at the next start.
async fn signals(mut wishes: ShutdownSignals, stop: &CancellationToken, done: &CancellationToken) {
    loop {
        let wish = tokio::select! {
            wish = wishes.next() => wish,
            () = done.cancelled() => return,
        };
        match wish {
            Shutdown::End => {
                tracing::info!("shutting down; signal again to force");
                stop.cancel();
            }
            Shutdown::AtOnce => {
                tracing::info!("forced to stop");
                #[expect(clippy::exit, reason = "the person asked twice")]
                #[expect(clippy::disallowed_methods, reason = "the person asked twice")]
                std::process::exit(i32::from(super::exit::ERROR));
            }
        }
    }
}

const fn exit_of(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Running | Outcome::Converged | Outcome::Stopped => Exit::Done,
        Outcome::NeedsApproval => Exit::Held,
        Outcome::Incomplete | Outcome::StorageFailed => Exit::Error,
    }
}
