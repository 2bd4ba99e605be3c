//! The embedded control plane. Shares nothing with `plan`, `engine`, `live`.
