//! Compiles our `.proto` files: messages for the embedded plane, descriptors for everything
//! that reads the one list of fields.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from("src/wire/proto");
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut compiler = protox::Compiler::new([&dir])?;
    compiler.include_imports(true).open_files(&files)?;
    // The encoded form keeps our options, which the typed form would drop.
    let encoded = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), &encoded)?;
    prost_build::Config::new()
        .btree_map(["."])
        .bytes(["."])
        .include_file("messages.rs")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
