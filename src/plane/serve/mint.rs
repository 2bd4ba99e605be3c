//! Identities on demand, for callers who may do everything: the program's own socket and pipe.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Plane, PlaneError, Status};
use crate::plane::ca::{self, Authorities, Authority, CaError, Identity, Role, Wanted};
use crate::plane::store::Key;

/// Our own method beside Teleport's: makes an identity. Body and answer are JSON.
pub const MINT: &str = "/reconciler.plane.v1.Plane/Mint";

/// Longest life of an identity; longer ones are a mistake.
const TTL_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// What is asked of [`MINT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintRequest {
    /// The user's name.
    pub user: String,
    /// Roles by name; at least one.
    pub roles: Vec<String>,
    /// Seconds until it expires.
    pub ttl_seconds: u64,
}

/// What [`MINT`] answers. **Holds a private key.**
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// The one file.
    pub file: String,
    /// The private key alone, PEM.
    pub key: String,
    /// The TLS certificate alone, PEM.
    pub certificate: String,
    /// The certificates by which the server is verified, PEM.
    pub roots: String,
    /// Roles that were asked for and are not there.
    pub missing_roles: Vec<String>,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").field("missing_roles", &self.missing_roles).finish_non_exhaustive()
    }
}

impl Plane {
    /// The plane's authorities, which are made and kept when they are first asked for.
    ///
    /// # Errors
    /// No randomness, a stored authority that cannot be read, or a plane that failed earlier.
    pub fn authorities(&self) -> Result<Authorities, PlaneError> {
        let now = (self.shared.clock)();
        let mut state = self.state().map_err(PlaneError::Failed)?;
        let cluster = state.core.cluster_name(now);
        let mut of = |role: Role| -> Result<Authority, PlaneError> {
            let kept = state.core.items(ca::KIND, now).find(|(name, _)| *name == role.name());
            if let Some((_, item)) = kept {
                return Ok(Authority::read(role, &cluster, &item.value)?);
            }
            let made = Authority::make(&cluster, now.wall)?;
            let key = Key::new(ca::KIND, role.name());
            let changes = state.core.keep(now, key, made.to_bytes());
            state.persist(&changes).map_err(PlaneError::Failed)?;
            Ok(made)
        };
        let (host, user) = (of(Role::Host)?, of(Role::User)?);
        Ok(Authorities { cluster, host, user })
    }

    /// Makes an identity. The user need not exist; roles that do not are named in the answer.
    ///
    /// # Errors
    /// No name, no role, a time of zero or of many years; what [`Plane::authorities`] says.
    pub fn mint(&self, request: &MintRequest) -> Result<Minted, Status> {
        let MintRequest { user, roles, ttl_seconds } = request;
        let ttl = Duration::from_secs(*ttl_seconds);
        if user.is_empty() || roles.is_empty() || roles.iter().any(String::is_empty) {
            return Err(Status::invalid("an identity needs a user and at least one role"));
        }
        if ttl.is_zero() || ttl > TTL_MAX {
            return Err(Status::invalid("an identity lives from one second to ten years"));
        }
        let failed = |error: CaError| Status::internal(error.to_string());
        let authorities = self.authorities().map_err(|error| match error {
            PlaneError::Failed(status) => status,
            error @ (PlaneError::Disk { .. } | PlaneError::Authority(_)) => {
                Status::internal(error.to_string())
            }
        })?;
        let now = (self.shared.clock)();
        let wanted = Wanted { user: user.clone(), roles: roles.clone(), ttl };
        let identity = authorities.mint(now.wall, &wanted).map_err(failed)?;
        let state = self.state()?;
        let there = |role: &&String| state.core.items("role", now).any(|(name, _)| name == *role);
        let missing_roles = roles.iter().filter(|role| !there(role)).cloned().collect();
        let file = identity.file();
        let Identity { key, certificate, roots, ssh_certificate: _, ssh_authority: _ } = identity;
        Ok(Minted { file, key, certificate, roots, missing_roles })
    }

    /// Answers [`MINT`].
    pub(super) fn mint_json(&self, body: &[u8]) -> Result<Vec<u8>, Status> {
        let request = serde_json::from_slice(body)
            .map_err(|error| Status::invalid(format!("the request is not as expected: {error}")))?;
        serde_json::to_vec(&self.mint(&request)?)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
