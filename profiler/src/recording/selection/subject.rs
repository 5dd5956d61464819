//! A process as the filter sees it, from /proc: for what the kernel side has not sampled.

use procfs::process::Process;
use profiler_common::{
    comm::{Comm, comm_of},
    filter::{Probe, Subject},
};

use crate::host::hierarchies::{Hierarchies, ancestor};

/// A process at one moment.
#[derive(Debug)]
pub struct FromProc<'a> {
    hierarchies: &'a Hierarchies,
    /// Number of the hierarchy, and path in it.
    pub cgroups: Vec<(u32, String)>,
    /// Effective user id.
    pub user: Option<u32>,
    /// The kernel's name of it.
    pub comm: Option<String>,
    named: bool,
}

impl<'a> FromProc<'a> {
    /// Reads it; what cannot be read, since it is gone, stays empty.
    pub fn read(pid: u32, hierarchies: &'a Hierarchies, named: bool) -> Self {
        let process = Process::new(i32::try_from(pid).unwrap_or(-1));
        let cgroups = process.as_ref().ok().and_then(|one| one.cgroups().ok());
        let status = process.as_ref().ok().and_then(|one| one.status().ok());
        Self {
            hierarchies,
            cgroups: cgroups
                .into_iter()
                .flatten()
                .map(|group| (group.hierarchy, group.pathname))
                .collect(),
            user: status.as_ref().map(|status| status.euid),
            comm: process.ok().and_then(|one| Some(one.stat().ok()?.comm)),
            named,
        }
    }
}

impl Subject for FromProc<'_> {
    fn cgroup_at(&self, probe: Probe) -> Option<u64> {
        self.cgroups.iter().find_map(|(number, path)| {
            let hierarchy = self.hierarchies.numbered(*number)?;
            if hierarchy.key != Some(probe.hierarchy) {
                return None;
            }
            Some(hierarchy.at(ancestor(path, probe.level)?)?.id)
        })
    }

    fn user(&self) -> Option<u32> {
        self.user
    }

    fn comm(&self) -> Option<Comm> {
        Some(comm_of(self.comm.as_ref()?.as_bytes()))
    }

    fn is_named(&self) -> bool {
        self.named
    }
}
