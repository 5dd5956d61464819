//! A process as the filter sees it, from /proc: for what the kernel side has not sampled.

use profiler_common::{
    comm::{Comm, comm_of},
    filter::{Probe, Subject},
};

use crate::host::{
    hierarchies::{Hierarchies, InHierarchy, ancestor, of_process},
    process::thread_comm,
    status::Status,
};

/// A process at one moment.
#[derive(Debug)]
pub struct FromProc<'a> {
    hierarchies: &'a Hierarchies,
    cgroups: Vec<InHierarchy>,
    /// Effective user id.
    pub user: Option<u32>,
    /// The kernel's name of it.
    pub comm: Option<String>,
    named: bool,
}

impl<'a> FromProc<'a> {
    /// Reads it; what cannot be read, since it is gone, stays empty.
    pub fn read(pid: u32, hierarchies: &'a Hierarchies, named: bool) -> Self {
        Self {
            hierarchies,
            cgroups: of_process(pid),
            user: Status::of(pid).effective,
            comm: thread_comm(pid, pid),
            named,
        }
    }
}

impl Subject for FromProc<'_> {
    fn cgroup_at(&self, probe: Probe) -> Option<u64> {
        self.cgroups.iter().find_map(|cgroup| {
            let hierarchy = self.hierarchies.numbered(cgroup.hierarchy)?;
            if hierarchy.key != Some(probe.hierarchy) {
                return None;
            }
            Some(hierarchy.at(ancestor(&cgroup.path, probe.level)?)?.id)
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
