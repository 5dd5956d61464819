//! Where things lie: the workspace, its target directory and the cache that set-up fills.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// What `cargo` to call for everything but the eBPF side.
pub fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Cargo's target directory, wherever its configuration puts it.
pub fn target() -> Result<PathBuf> {
    let output = Command::new(cargo())
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(workspace())
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}

/// The user's home directory.
pub fn home() -> PathBuf {
    env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from)
}

/// Where set-up keeps what it builds and fetches: `$PYPROF_CACHE`, or `pyprof-ebpf` in the user's cache.
pub fn cache() -> PathBuf {
    env::var_os("PYPROF_CACHE").map_or_else(
        || {
            env::var_os("XDG_CACHE_HOME")
                .map_or_else(|| home().join(".cache"), PathBuf::from)
                .join("pyprof-ebpf")
        },
        PathBuf::from,
    )
}

/// Where pyenv keeps its interpreters.
pub fn pyenv() -> PathBuf {
    env::var_os("PYENV_ROOT").map_or_else(|| home().join(".pyenv"), PathBuf::from)
}

/// The object of the kernel side, where profiler/build.rs picks it up.
pub fn bpf_object() -> PathBuf {
    workspace().join("target/ebpf/pyprof-ebpf.o")
}
