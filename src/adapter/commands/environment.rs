//! The variables that commands see.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Where programs are looked for when the agent has no `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Passed on if the agent has them; none holds a secret. `LC_` stands for the names that begin
/// so.
const HARMLESS: &[&str] = &["PATH", "HOME", "LANG", "TZ"];
const LOCALE: &str = "LC_";

/// The environment of every command.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values may be what the configuration passes on as a secret.
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// What commands see of the agent's `variables`: `PATH`, `HOME`, `LANG`, `LC_…`, `TZ` and
    /// the names that are `allowed`.
    pub fn of(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        allowed: &[String],
    ) -> Self {
        let mut variables: BTreeMap<_, _> =
            variables.into_iter().filter(|(name, _)| passes(name, allowed)).collect();
        variables.entry("PATH".into()).or_insert_with(|| PATH.into());
        Self { variables }
    }

    /// Names and values.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.variables.iter()
    }

    /// Where programs without a slash are looked for.
    pub(super) fn path(&self) -> &OsStr {
        self.variables.get(OsStr::new("PATH")).map_or(OsStr::new(PATH), OsString::as_os_str)
    }
}

fn passes(name: &OsStr, allowed: &[String]) -> bool {
    name.to_str().is_some_and(|name| {
        HARMLESS.contains(&name)
            || name.starts_with(LOCALE)
            || allowed.iter().any(|allowed| allowed == name)
    })
}
