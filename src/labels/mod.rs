//! Labels whose values commands give. Deliberately absent: processes, files, clocks.

pub mod allow;
pub mod value;
