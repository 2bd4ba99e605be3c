//! Versions of Teleport.

use std::fmt;

/// A version of Teleport, as far as it says which fields a server has: `18.0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// One a half-year.
    pub major: u32,
    /// New things.
    pub minor: u32,
    /// Corrections.
    pub patch: u32,
}

impl Release {
    /// Reads `18`, `18.1`, `v18.1.0`, `18.1.0-dev.3+build`; nothing of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let numbers = text.split(['-', '+']).next()?;
        let mut words = numbers.split('.');
        let major = words.next()?.parse().ok()?;
        let mut number = || words.next().map_or(Ok(0), str::parse).ok();
        let (minor, patch) = (number()?, number()?);
        words.next().is_none().then_some(Self { major, minor, patch })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn versions_are_read_and_ordered() {
        let read = |text| Release::parse(text).map(|it| it.to_string());
        for (text, expected) in [
            ("18.0.0", Some("18.0.0")),
            ("18", Some("18.0.0")),
            ("v18.1", Some("18.1.0")),
            ("19.0.0-dev.5", Some("19.0.0")),
            ("18.2.1+build", Some("18.2.1")),
            ("", None),
            ("18.x", None),
            ("18.0.0.1", None),
            ("new", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
        assert!(Release::parse("18.0.0") < Release::parse("18.0.1"));
        assert!(Release::parse("18.10.0") > Release::parse("18.9.9"));
    }
}
