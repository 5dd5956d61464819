//! Hands the kernel side's object to the program: what `cargo xtask build` left in `target/ebpf`, or an empty
//! file where it has not run, so that `cargo check`, clippy and the unit tests need no eBPF toolchain.

use std::{env, fs, io, path::Path};

const NAME: &str = "pyprof-ebpf.o";

fn main() -> io::Result<()> {
    // Asked now: a script that was compiled in another checkout, whose target directory was copied, would know that one.
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .ok_or_else(|| io::Error::other("cargo sets no CARGO_MANIFEST_DIR"))?;
    let workspace = Path::new(&manifest).join("..");
    let directory = workspace.join("target/ebpf");
    // Cargo looks at the directory, and so sees an object that comes later. It has to be there: a missing
    // path would make cargo run this every time.
    fs::create_dir_all(&directory)?;
    println!("cargo::rerun-if-changed={}", directory.display());
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets no OUT_DIR"))?;
    let object = match fs::read(directory.join(NAME)) {
        Ok(object) => object,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    fs::write(Path::new(&out).join(NAME), object)
}
