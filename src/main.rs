//! The command line program.

use std::process::ExitCode;

/// A plan is made of very many small values, which glibc's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    reconciler::cli::main().into()
}
