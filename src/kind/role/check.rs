//! Rules of a role beyond its field list.

use crate::manifest::Findings;
use crate::model::Node;

/// Checks one role.
pub(super) fn check(_role: &Node, _findings: &mut Findings<'_>) {}
