//! `reconciler.toml`.
