//! Where `reconciler.toml` is looked for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError};
use crate::adapter::bounded_read;

/// Largest configuration that is read, in bytes.
const SIZE_MAX: u64 = 1024 * 1024;

/// The places, in order; the first that applies is the only one that is read.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// `--config`: must be there.
    pub option: Option<&'a Path>,
    /// `$RECONCILER_CONFIG`: must be there.
    pub variable: Option<&'a Path>,
    /// Taken if they are there: `./reconciler.toml`, `/etc/reconciler/reconciler.toml`.
    pub usual: &'a [&'a Path],
}

/// Whether a file that is not there is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Somebody named it.
    Error,
    /// It was worth a try.
    Fine,
}

impl Search<'_> {
    /// The places in order.
    pub fn places(&self) -> Vec<(&Path, Missing)> {
        let Self { option, variable, usual } = *self;
        let named = option.into_iter().chain(variable).map(|path| (path, Missing::Error));
        named.chain(usual.iter().map(|path| (*path, Missing::Fine))).collect()
    }
}

pub(super) fn load(search: &Search<'_>) -> Result<Config, ConfigError> {
    for (path, missing) in search.places() {
        let failed = |message: String| ConfigError::File { path: path.to_owned(), message };
        let text = match bounded_read::text(path, SIZE_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && missing == Missing::Fine => {
                continue;
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        let mut config = Config::parse(&text, path)?;
        config.file = Some(PathBuf::from(path));
        return Ok(config);
    }
    Ok(Config::default())
}
