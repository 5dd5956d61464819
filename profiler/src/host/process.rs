//! What /proc tells of a process.

use std::{collections::HashSet, fs};

use procfs::process::Process;

/// A process as /proc shows it at one moment.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Parent's process id, 0 where unknown.
    pub ppid: u32,
    /// The kernel's name of it.
    pub comm: String,
    /// Its command line, words joined by spaces.
    pub command_line: String,
    /// Path in the cgroup tree: version 2 where it says more than the root, else the first controller's.
    pub cgroup: Option<String>,
}

/// Describes a process; what cannot be read (it may be gone) stays empty.
#[must_use]
pub fn describe(pid: u32) -> Description {
    let Ok(process) = open(pid) else {
        return Description::default();
    };
    let (ppid, comm) = process
        .stat()
        .map(|stat| (u32::try_from(stat.ppid).unwrap_or(0), stat.comm))
        .unwrap_or_default();
    Description {
        ppid,
        comm,
        command_line: process
            .cmdline()
            .map(|words| words.join(" "))
            .unwrap_or_default(),
        cgroup: cgroup(&process),
    }
}

fn open(pid: u32) -> procfs::ProcResult<Process> {
    Process::new(i32::try_from(pid).unwrap_or(-1))
}

fn cgroup(process: &Process) -> Option<String> {
    let groups = process.cgroups().ok()?.0;
    groups
        .iter()
        .filter(|group| group.pathname != "/")
        .min_by_key(|group| group.hierarchy)
        .or_else(|| groups.iter().find(|group| group.hierarchy == 0))
        .map(|group| group.pathname.clone())
}

/// CPU time of a process's living threads, in ns, as the scheduler accounts it: by thread id. Empty where
/// the process is gone.
#[must_use]
pub fn cpu_by_thread(pid: u32) -> Vec<(u32, u64)> {
    let Ok(tasks) = open(pid).and_then(|process| process.tasks()) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| {
            let tid = u32::try_from(task.tid).ok()?;
            Some((tid, task.schedstat().ok()?.sum_exec_runtime))
        })
        .collect()
}

/// CPU time of a process's main thread, in ns, as the scheduler accounts it; None where the process is gone.
#[must_use]
pub fn cpu_of_main_thread(pid: u32) -> Option<u64> {
    Some(open(pid).ok()?.schedstat().ok()?.sum_exec_runtime)
}

/// All process ids.
#[must_use]
pub fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether a process exists.
#[must_use]
pub fn exists(pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// Whether a process descends from one of `ancestors`.
#[must_use]
pub fn descends_from(pid: u32, ancestors: &HashSet<u32>) -> bool {
    let mut pid = pid;
    // A chain of parents is as long as the tree is deep; ids may be reused while it is followed.
    for _ in 0..256 {
        let Ok(stat) = open(pid).and_then(|process| process.stat()) else {
            return false;
        };
        let Some(parent) = u32::try_from(stat.ppid).ok().filter(|&ppid| ppid != 0) else {
            return false;
        };
        if ancestors.contains(&parent) {
            return true;
        }
        pid = parent;
    }
    false
}

/// Whether a thread exists.
#[must_use]
pub fn thread_exists(pid: u32, tid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}/task/{tid}")).is_ok()
}

/// The kernel's name of a thread, without the line end.
#[must_use]
pub fn thread_comm(pid: u32, tid: u32) -> Option<String> {
    let comm = fs::read(format!("/proc/{pid}/task/{tid}/comm")).ok()?;
    Some(
        String::from_utf8_lossy(&comm)
            .trim_end_matches('\n')
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that this very process is described as it is.
    #[test]
    fn describes_this_process() {
        let own = std::process::id();
        let description = describe(own);
        assert_eq!(description.ppid, std::os::unix::process::parent_id());
        assert!(description.command_line.contains("profiler"));
        assert!(all().contains(&own));
        assert!(cpu_by_thread(own).iter().any(|&(_, ns)| ns > 0));
        assert!(descends_from(
            own,
            &HashSet::from([std::os::unix::process::parent_id()])
        ));
        assert!(!descends_from(own, &HashSet::new()));
    }
}
