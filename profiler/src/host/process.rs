//! What /proc tells of a process.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::Read as _,
};

use super::{cgroup::most_telling, hierarchies, labels::Labels, status::Status, users};

/// A process as /proc shows it at one moment.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Parent's process id, 0 where unknown.
    pub ppid: u32,
    /// The kernel's name of it.
    pub comm: String,
    /// Its command line, words joined by spaces.
    pub command_line: String,
    /// Path in the cgroup tree, of the hierarchy that tells most.
    pub cgroup: Option<String>,
    /// What that path tells.
    pub labels: Labels,
    /// Its process id in its own PID namespace, where that is another than ours.
    pub container_pid: Option<u32>,
    /// The user that it runs as, by name where this host has one.
    pub user: Option<String>,
}

/// How much of a command line is kept, in bytes; it can have megabytes.
const COMMAND_LINE_BYTES: usize = 4096;

/// Describes a process; what cannot be read (it may be gone) stays empty.
#[must_use]
pub fn describe(pid: u32) -> Description {
    let stat = Stat::of(pid);
    let command_line = read(pid, "cmdline", COMMAND_LINE_BYTES);
    let command_line = String::from_utf8_lossy(&command_line);
    let (cgroup, labels) = cgroup(pid).unzip();
    let status = Status::of(pid);
    Description {
        ppid: stat.as_ref().map_or(0, |stat| stat.ppid),
        comm: stat.map(|stat| stat.comm).unwrap_or_default(),
        command_line: command_line.trim_end_matches('\0').replace('\0', " "),
        cgroup,
        labels: labels.unwrap_or_default(),
        container_pid: status.container_pid,
        user: status.uid.map(users::name),
    }
}

/// A file of a process's directory in /proc, as far as `limit`; empty where it cannot be read.
///
/// For thousands of processes this counts: three system calls, where asking for the size first and reading
/// until nothing comes takes twice as many.
fn read(pid: u32, name: &str, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/{name}")) {
        bytes.reserve(limit.min(1024));
        // What was read before an error is as good as nothing: the process is gone.
        let _ = file.take(limit as u64).read_to_end(&mut bytes);
    }
    bytes
}

/// What is used of /proc/PID/stat, proc_pid_stat(5).
struct Stat {
    comm: String,
    /// `R` where it runs or waits for a CPU.
    state: u8,
    ppid: u32,
    /// CPU time of all threads, user and system, in clock ticks.
    ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&String::from_utf8_lossy(&read(pid, "stat", 4096)))
    }

    /// `pid (comm) state ppid ...`; the name may have spaces and parentheses in it.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once('(')?;
        let (comm, rest) = rest.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let ppid = fields.next()?.parse().ok()?;
        // utime and stime are the fields 14 and 15, of which 4 are behind us.
        let mut times = fields.skip(9).map_while(|field| field.parse::<u64>().ok());
        Some(Self {
            comm: comm.to_owned(),
            state,
            ppid,
            ticks: times.next()?.saturating_add(times.next()?),
        })
    }
}

/// How busy a process seems: whether it runs now, and the CPU time that it has used so far (clock ticks).
#[must_use]
pub fn load(pid: u32) -> (bool, u64) {
    Stat::of(pid).map_or((false, 0), |stat| (stat.state == b'R', stat.ticks))
}

/// The path in the cgroup tree that tells most, and what it tells.
fn cgroup(pid: u32) -> Option<(String, Labels)> {
    let groups = hierarchies::of_process(pid);
    let paths = groups
        .iter()
        .map(|group| (group.hierarchy, group.path.as_str()));
    most_telling(paths).map(|(path, labels)| (path.to_owned(), labels))
}

/// CPU time of a process's living threads, in ns, as the scheduler accounts it: by thread id. Empty where
/// the process is gone.
#[must_use]
pub fn cpu_by_thread(pid: u32) -> Vec<(u32, u64)> {
    ids(&format!("/proc/{pid}/task"))
        .into_iter()
        .filter_map(|tid| Some((tid, cpu(pid, &format!("task/{tid}/schedstat"))?)))
        .collect()
}

/// CPU time of a process's main thread, in ns, as the scheduler accounts it; None where the process is gone.
#[must_use]
pub fn cpu_of_main_thread(pid: u32) -> Option<u64> {
    cpu(pid, "schedstat")
}

/// The first number of a file `schedstat`, the time on the CPU in ns: Documentation/scheduler/sched-stats.rst.
fn cpu(pid: u32, name: &str) -> Option<u64> {
    let text = read(pid, name, 256);
    let text = String::from_utf8_lossy(&text);
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// The process or thread id that was given out last: where it has not changed, nothing has been started.
#[must_use]
pub fn last_id() -> Option<u32> {
    // The last field of `0.20 0.18 0.12 1/80 11206`, proc_loadavg(5).
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().last()?.parse().ok()
}

/// All process ids.
#[must_use]
pub fn all() -> Vec<u32> {
    ids("/proc")
}

/// The entries of a directory whose names are numbers.
fn ids(directory: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else {
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
        let Some(parent) = Stat::of(pid)
            .map(|stat| stat.ppid)
            .filter(|&ppid| ppid != 0)
        else {
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

    /// Makes sure that a process's line is read as proc_pid_stat(5) has it, whatever its name.
    #[test]
    fn lines_of_stat() {
        let line = "7 (a) b (c) R 5 7 7 0 -1 4194304 120 0 0 0 30 12 0 0 20 0 1 0 88";
        let stat = Stat::parse(line).expect("a line of the format");
        assert_eq!((stat.comm.as_str(), stat.state), ("a) b (c", b'R'));
        assert_eq!((stat.ppid, stat.ticks), (5, 42));
        assert!(Stat::parse("7 (a) R").is_none());
        assert!(Stat::parse("").is_none());
    }

    /// Makes sure that this very process is described as it is.
    #[test]
    fn describes_this_process() {
        let own = std::process::id();
        let description = describe(own);
        assert_eq!(description.ppid, std::os::unix::process::parent_id());
        assert!(description.command_line.contains("profiler"));
        assert!(description.user.is_some() && description.cgroup.is_some());
        assert!(all().contains(&own));
        assert!(last_id().is_some());
        assert!(cpu_by_thread(own).iter().any(|&(_, ns)| ns > 0));
        assert!(descends_from(
            own,
            &HashSet::from([std::os::unix::process::parent_id()])
        ));
        assert!(!descends_from(own, &HashSet::new()));
    }
}
