//! Cgroups made for a test, and gone after it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{cpu::Recorder, environment::skip};

/// How often a cgroup is tried to be removed: who was in it may take a moment to be gone.
const ATTEMPTS: u32 = 400;

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The controllers of version 1; None: version 2.
    pub controllers: Option<Vec<String>>,
    /// The directory of its root cgroup.
    pub root: PathBuf,
}

/// The hierarchies that are mounted as a whole.
#[must_use]
pub fn hierarchies() -> Vec<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let hierarchy = |line: &str| {
        // proc_pid_mountinfo(5): the fourth and fifth fields are root and place; type and options follow a dash.
        let (here, there) = line.split_once(" - ")?;
        let mut here = here.split(' ').skip(3);
        let (root, place) = (here.next()?, here.next()?);
        let mut there = there.split(' ');
        let (kind, options) = (there.next()?, there.nth(1)?);
        let controllers = match kind {
            "cgroup2" => None,
            "cgroup" => Some(options.split(',').map(str::to_owned).collect()),
            _ => return None,
        };
        let root = (root == "/").then(|| PathBuf::from(place))?;
        Some(Hierarchy { controllers, root })
    };
    mounts.lines().filter_map(hierarchy).collect()
}

/// The directory of the root cgroup: of version 2, or of a controller of version 1. None where it is not mounted.
#[must_use]
pub fn root(controller: Option<&str>) -> Option<PathBuf> {
    let is_it = |hierarchy: &Hierarchy| match (controller, &hierarchy.controllers) {
        (None, None) => true,
        (Some(wanted), Some(controllers)) => controllers.iter().any(|one| one == wanted),
        _ => false,
    };
    Some(hierarchies().into_iter().find(is_it)?.root)
}

/// The directory of the root cgroup of version 2; says that a test is skipped where there is none.
#[must_use]
pub fn version_2() -> Option<PathBuf> {
    let root = root(None);
    if root.is_none() {
        skip("no cgroup version 2 is mounted here");
    }
    root
}

/// The directory of the root cgroup of version 2, or of any hierarchy where that is not mounted.
///
/// # Errors
/// Where there are no cgroups.
pub fn any_root() -> Result<PathBuf> {
    root(None)
        .or_else(|| Some(hierarchies().into_iter().next()?.root))
        .context("no cgroups here")
}

/// A cgroup. When this is dropped, who is in it is put into the root, and it is removed.
#[derive(Debug)]
pub struct Cgroup {
    root: PathBuf,
    /// The path from the root, as /proc/PID/cgroup shows it.
    pub path: String,
}

impl Cgroup {
    /// Makes one, with those above it: `/a/b`. One that a test has left behind is taken over.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn new(root: &Path, path: &str) -> Result<Self> {
        let cgroup = Self {
            root: root.to_owned(),
            path: path.to_owned(),
        };
        fs::create_dir_all(cgroup.directory())
            .with_context(|| format!("cannot make the cgroup {path}"))?;
        Ok(cgroup)
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.root.join(self.path.trim_start_matches('/'))
    }

    /// The file by which processes are put into it.
    #[must_use]
    pub fn door(&self) -> PathBuf {
        self.directory().join("cgroup.procs")
    }

    /// Words that put a command into it: `sh -c ...`, to be followed by the command.
    #[must_use]
    pub fn enter(&self) -> [String; 4] {
        let script = format!("echo $$ > '{}' && exec \"$@\"", self.door().display());
        ["sh".into(), "-c".into(), script, "sh".into()]
    }

    /// Puts a process into it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn add(&self, pid: u32) -> Result<()> {
        fs::write(self.door(), pid.to_string())
            .with_context(|| format!("cannot put {pid} into {}", self.path))
    }

    /// Puts a process out of it, into the root.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn expel(&self, pid: u32) -> Result<()> {
        Ok(fs::write(self.root.join("cgroup.procs"), pid.to_string())?)
    }

    /// CPU time that the kernel has accounted to it and those below, in seconds.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn cpu_s(&self) -> Result<f64> {
        cpu_s(&self.directory()).with_context(|| format!("no CPU time of {}", self.path))
    }

    /// Begins to record that time, as number 0 of the recorder.
    #[must_use]
    pub fn record(&self) -> Recorder {
        let directory = self.directory();
        Recorder::reading(&[0], move |_| cpu_s(&directory).ok())
    }
}

/// CPU time of the cgroup with this directory, in seconds: version 2 has it in each cgroup, version 1 in those of the
/// controller cpuacct.
///
/// # Errors
/// Where the kernel does not tell.
pub fn cpu_s(directory: &Path) -> Result<f64> {
    if let Ok(ns) = fs::read_to_string(directory.join("cpuacct.usage")) {
        return Ok(ns.trim().parse::<f64>()? / 1e9);
    }
    let stat = fs::read_to_string(directory.join("cpu.stat"))?;
    let usage = stat
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))
        .context("no usage_usec")?;
    Ok(usage.parse::<f64>()? / 1e6)
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let mut directory = self.directory();
        for _ in 0..ATTEMPTS {
            for pid in fs::read_to_string(directory.join("cgroup.procs"))
                .unwrap_or_default()
                .lines()
            {
                // It may have ended.
                let _ = fs::write(self.root.join("cgroup.procs"), pid);
            }
            match fs::remove_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(10));
                }
                _ => break,
            }
        }
        // Those above go with the last below them; where others use them, this fails.
        while directory.pop() && directory != self.root {
            if fs::remove_dir(&directory).is_err() {
                break;
            }
        }
    }
}
