//! Cgroups that a test makes and removes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// A cgroup. It is removed when this is dropped, and those above it that were made with it.
#[derive(Debug)]
pub struct Cgroup {
    /// Where it is mounted.
    directory: PathBuf,
    /// As `/proc/PID/cgroup` has it.
    pub path: String,
    made: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes one of this path (`/docker/0123`) in the hierarchy of version 2, or in some other where there is none.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn new(path: &str) -> Result<Self> {
        let mounts = mounts()?;
        let (_, mount) = mounts
            .iter()
            .find(|(kind, _)| kind == "cgroup2")
            .or_else(|| mounts.first())
            .context("no cgroups here")?;
        let mut cgroup = Self {
            directory: mount.join(path.trim_start_matches('/')),
            path: path.to_owned(),
            made: Vec::new(),
        };
        let mut missing: Vec<_> = cgroup
            .directory
            .ancestors()
            .take_while(|directory| !directory.exists())
            .map(Path::to_owned)
            .collect();
        while let Some(directory) = missing.pop() {
            fs::create_dir(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            cgroup.made.push(directory);
        }
        Ok(cgroup)
    }

    /// Words that put a command into it: `sh -c ...`, to be followed by the command.
    #[must_use]
    pub fn enter(&self) -> [String; 4] {
        let procs = self.directory.join("cgroup.procs");
        let script = format!("echo $$ > '{}' && exec \"$@\"", procs.display());
        ["sh".into(), "-c".into(), script, "sh".into()]
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        while let Some(directory) = self.made.pop() {
            remove(&directory);
        }
    }
}

/// Where cgroups are mounted: type and directory.
pub(super) fn mounts() -> Result<Vec<(String, PathBuf)>> {
    let text = fs::read_to_string("/proc/self/mounts")?;
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (directory, kind) = (fields.nth(1)?, fields.next()?);
            kind.starts_with("cgroup")
                .then(|| (kind.to_owned(), directory.into()))
        })
        .collect())
}

/// Removes a cgroup. Processes that were killed leave it a moment later.
pub(super) fn remove(directory: &Path) {
    for _ in 0..200 {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
}
