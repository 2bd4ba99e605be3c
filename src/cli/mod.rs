//! Arguments, output, exit codes. Deliberately absent: rules.
