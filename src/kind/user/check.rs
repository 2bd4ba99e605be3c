//! Rules of a user beyond its field list.

use crate::kind::check::{at, metadata, role_names};
use crate::model::{Findings, Node};

/// Checks one user.
pub(super) fn check(user: &Node, findings: &mut Findings<'_>) {
    metadata(user, findings);
    role_names(at(user, &["spec", "roles"]), findings);
}
