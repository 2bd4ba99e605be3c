//! `plane serve` and `plane identity`: the embedded plane as a server for everybody.

use std::fs::OpenOptions;
use std::future::pending;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_stream::wrappers::UnixListenerStream;

use super::args::{IdentityArgs, IdentityFormat};
use super::control::{self, Socket};
use super::error::{CliError, chain};
use super::exit::Exit;
use super::load;
use super::output::Streams;
use super::session::open_plane;
use super::setup::{Setup, Target, played};
use super::signals::ShutdownSignals;
use crate::adapter::clock::System;
use crate::adapter::cluster::Remote;
use crate::adapter::lock::{Lock, beside};
use crate::model::duration;
use crate::plane::serve::serve_connections;
use crate::plane::{Faults, MINT, MintRequest, Minted, Plane, Settings};

/// Longest wait for an identity.
const MINT_DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// The word that stands for a state which is thrown away.
const MEMORY: &str = "memory";

/// Keys are for their owner only.
const PRIVATE: u32 = 0o600;

fn in_memory(setup: &Setup) -> bool {
    setup.memory || setup.state == Path::new(MEMORY)
}

/// Serves the plane over mutual TLS until it is told to stop, and to commands on this machine on
/// the socket beside its state.
///
/// # Errors
/// A state that another process holds, an address that cannot be listened on, a manifest that the
/// plane refuses.
pub(super) async fn serve(
    setup: &Setup,
    listen: SocketAddr,
    given: Option<&Path>,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    more_files();
    let memory = in_memory(setup);
    let lock = if memory {
        if control::connect(&setup.socket).await.is_some() {
            let socket = setup.socket.display();
            return Err(CliError::new(format!("another process already answers on {socket}")));
        }
        None
    } else {
        let lock = Lock::take(&setup.state, "reconciler plane serve");
        Some(lock.map_err(|error| CliError::new(error.to_string()))?)
    };
    let mut wishes = ShutdownSignals::listen(clock)?;
    let declared = match given {
        Some(dir) => Some(load::read(setup, dir, clock, to).await?),
        None => None,
    };
    let plane = open_here(setup, (!memory).then_some(setup.plane.as_path()), clock)?;
    if let Some(declared) = declared {
        load::load(declared, &plane, to).await?;
    }
    let bound = TcpListener::bind(listen).await;
    let listener =
        bound.map_err(|error| CliError::new(format!("cannot listen on {listen}: {error}")))?;
    let address = listener.local_addr().map_err(|error| CliError::new(error.to_string()))?;
    let Socket { listener: local, file } = Socket::bind(&setup.socket)?;
    writeln!(to.out, "listening on {address}")
        .and_then(|()| to.out.flush())
        .map_err(|error| CliError::output(&error))?;

    let incoming = UnixListenerStream::new(local);
    let ended = tokio::select! {
        ended = plane.serve_tls(listener) => ended.map_err(|error| CliError::new(chain(&error))),
        ended = serve_connections(plane.service(), incoming, pending()) => {
            ended.map_err(|error| CliError::new(chain(&error)))
        }
        _ = wishes.next() => Ok(()),
    };
    drop(file);
    plane.close().await;
    drop(lock);
    ended.map(|()| Exit::Done)
}

/// Asks for as many open files as this process may have: each connection is one. A limit that
/// cannot be raised holds, and the plane keeps to it.
fn more_files() {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: now.maximum, maximum: now.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::debug!("cannot raise the limit of open files: {error}");
    }
}

/// Mints an identity and writes it, for its owner only.
///
/// # Errors
/// A process on that state that cannot mint, a time that is none, a file that cannot be written.
pub(super) async fn identity(
    setup: &Setup,
    wanted: &IdentityArgs,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let IdentityArgs { user, roles, out, ttl, format } = wanted;
    let nanos = duration::parse(ttl).map_err(CliError::usage)?;
    let ttl_seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or_default();
    let request = MintRequest { user: user.clone(), roles: roles.clone(), ttl_seconds };
    let minted = match control::connect(&setup.socket).await {
        Some(channel) => {
            let process = Remote::new(channel);
            let answer = control::ask(&process, MINT, &request, MINT_DEADLINE).await?;
            serde_json::from_slice::<Minted>(&answer).map_err(|_secret| {
                CliError::new(
                    "the running process is of another version; its answer cannot be read",
                )
            })?
        }
        None => mint_here(setup, &request, clock).await?,
    };
    for role in &minted.missing_roles {
        to.remark(&format!("warning: role `{role}` does not exist yet and grants nothing\n"))?;
    }
    let parts = match format {
        IdentityFormat::File => vec![(out.clone(), &minted.file)],
        IdentityFormat::Tls => vec![
            (beside(out, ".crt"), &minted.certificate),
            (beside(out, ".key"), &minted.key),
            (beside(out, ".cas"), &minted.roots),
        ],
    };
    for (path, text) in parts {
        write_private(&path, text)?;
        writeln!(to.out, "wrote {}", path.display()).map_err(|error| CliError::output(&error))?;
    }
    Ok(Exit::Done)
}

async fn mint_here(
    setup: &Setup,
    request: &MintRequest,
    clock: &System,
) -> Result<Minted, CliError> {
    if in_memory(setup) {
        let socket = setup.socket.display();
        let text = format!("no `plane serve --state memory` answers on {socket}");
        return Err(CliError::new(text));
    }
    let lock = Lock::take(&setup.state, "reconciler plane identity")
        .map_err(|error| CliError::new(error.to_string()))?;
    let plane = open_here(setup, Some(&setup.plane), clock)?;
    let minted = plane.mint(request).map_err(|status| CliError::usage(status.message));
    plane.close().await;
    drop(lock);
    minted
}

/// Opens the embedded plane as the configuration says; with one that points at a Teleport, as
/// it is without one but for the Kubernetes Services.
fn open_here(setup: &Setup, file: Option<&Path>, clock: &System) -> Result<Plane, CliError> {
    match &setup.target {
        Target::Embedded { settings, faults } => open_plane(settings, faults, file, clock),
        Target::Teleport(_) => {
            let settings = Settings { services: played(&setup.config), ..Settings::default() };
            open_plane(&settings, &Faults::default(), file, clock)
        }
    }
}

/// Writes a new file beside it and moves it over, so that nobody reads half of it.
fn write_private(path: &Path, text: &str) -> Result<(), CliError> {
    let failed =
        |error: std::io::Error| CliError::new(format!("cannot write {}: {error}", path.display()));
    let draft = beside(path, ".new");
    match std::fs::remove_file(&draft) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(PRIVATE).open(&draft);
    file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)
}
