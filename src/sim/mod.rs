//! The engine in a box: virtual time, one seed, faults, an oracle. Deliberately absent: tokio.
