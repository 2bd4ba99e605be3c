//! Which paths of the source count.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// Taken unless the configuration says otherwise.
pub const INCLUDE: &[&str] = &["**/*.yaml", "**/*.yml", "**/*.json"];

/// Left out unless the configuration says otherwise: hidden files and directories, and what
/// editors leave while they work.
pub const EXCLUDE: &[&str] = &["**/.*/**", "**/.*", "**/*~", "**/#*#"];

/// Include and exclude patterns. `*` does not cross `/`; `**` does.
#[derive(Debug, Clone)]
pub struct Globs {
    include: GlobSet,
    exclude: GlobSet,
}

impl Globs {
    /// Compiles patterns.
    ///
    /// # Errors
    /// The first pattern that is none, and why.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, globset::Error> {
        Ok(Self { include: set(include)?, exclude: set(exclude)? })
    }

    /// Whether a file of that path below the source is read.
    pub fn takes(&self, path: &str) -> bool {
        self.include.is_match(path) && !self.exclude.is_match(path)
    }

    /// Whether a directory of that path is not entered.
    pub fn skips(&self, path: &str) -> bool {
        self.exclude.is_match(path)
    }
}

impl Default for Globs {
    fn default() -> Self {
        Self::new(INCLUDE, EXCLUDE)
            .unwrap_or_else(|_| Self { include: GlobSet::empty(), exclude: GlobSet::empty() })
    }
}

/// Compiles one pattern as the source reads it.
///
/// # Errors
/// Why it is none.
pub fn pattern(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).build()
}

fn set<S: AsRef<str>>(patterns: &[S]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for text in patterns {
        set.add(pattern(text.as_ref())?);
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let globs = Globs::default();
        for (path, taken) in [
            ("a.yaml", true),
            ("a.yml", true),
            ("a.json", true),
            ("roles/deep/er/a.yaml", true),
            ("a.yaml.bak", false),
            ("a.YAML", false),
            ("notes.txt", false),
            (".a.yaml", false),
            (".git/a.yaml", false),
            ("x/.git/deep/a.yaml", false),
            ("..data/a.yaml", false),
            (".a.yaml.swp", false),
            ("4913", false),
            ("a.yaml~", false),
            ("#a.yaml#", false),
            (".#a.yaml", false),
            ("x/#a.yaml#", false),
        ] {
            assert_eq!(globs.takes(path), taken, "{path}");
        }
    }

    #[test]
    fn one_star_stays_in_its_directory() {
        let globs = Globs::new(&["prod/*.yaml"], &["prod/old*"]).unwrap();
        assert!(globs.takes("prod/a.yaml"));
        assert!(!globs.takes("prod/x/a.yaml"));
        assert!(!globs.takes("prod/old.yaml"));
        assert!(globs.skips("prod/older"));
    }
}
