//! The real world: files, disk, network, processes. Deliberately absent: decisions.
