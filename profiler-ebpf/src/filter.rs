//! The filter over the current thread: `profiler_common::filter`, with the fields read from the kernel's
//! structures.
//!
//! They are read each time, since threads change cgroup, user and name at any moment. What is remembered is what
//! the places say of a cgroup of version 2, which does not change but with the filter: most of what a filter
//! costs is what it leaves out.

use aya_ebpf::helpers::{bpf_get_current_cgroup_id, bpf_get_current_task};
use profiler_common::{
    comm::Comm,
    filter::{self, Filter, Key, Matches, Probe, Subject, of, test},
    process::{NAMED, Process},
    shared::PLACE_SLOTS,
};

use crate::{config, kernel_memory::read, maps};

/// Whether samples of the current thread, of this process, are wanted, where it has been looked at.
#[inline(always)]
pub fn wants(process: &Process, sight: Sight) -> bool {
    let Some(filter) = maps::FILTER.get(0) else {
        return false;
    };
    // SAFETY: has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    let current = Current {
        task,
        flags: process.flags,
        found: match sight {
            Sight::In(found) => Some(found),
            Sight::Out | Sight::Unknown => None,
        },
    };
    filter::passes(filter, &InMap, &current)
}

/// What can be said of the current thread by the place that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is left out, whichever process it is of.
    Out,
    /// It may be wanted: what the places say, bits of `profiler_common::filter::verdict`.
    In(u32),
    /// The filter does not go by places alone.
    Unknown,
}

/// Looks at where the current thread is, before anything is known of its process. On a busy host most firings end
/// here, each with caches that others have used: what this touches is what they cost.
#[inline(always)]
pub fn sight() -> Sight {
    let Some(filter) = maps::FILTER.get(0) else {
        return Sight::Unknown;
    };
    if !filter::decides_by_place(filter.flags) {
        return Sight::Unknown;
    }
    let found = found(filter);
    if filter::is_out_of_place(filter.flags, found) {
        Sight::Out
    } else {
        Sight::In(found)
    }
}

/// What the places say of the current cgroup, from memory if possible.
#[inline(always)]
fn found(filter: &Filter) -> u32 {
    if let Some((known, cgroup)) = known(filter)
        && known.cgroup == cgroup
        && known.state == filter.state
    {
        known.found
    } else {
        find_place()
    }
}

/// Finds out what the places say of the current cgroup. A global function, which the verifier looks at once, and
/// which keeps the sampling program small: see [`crate::search::look_at_threads`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn find_place() -> u32 {
    let Some(filter) = maps::FILTER.get(0) else {
        return 0;
    };
    // SAFETY: has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    filter::find(
        filter,
        &InMap,
        &Current {
            task,
            flags: 0,
            found: None,
        },
    )
}

/// The map of places and users.
struct InMap;

impl Matches for InMap {
    #[inline(always)]
    fn get(&self, key: &Key) -> u32 {
        // SAFETY: values are words, which are read whole.
        match unsafe { maps::MATCHES.get(key) } {
            Some(&found) => found,
            None => 0,
        }
    }
}

/// The thread that the event interrupted.
struct Current {
    task: u64,
    flags: u32,
    /// What the places say of it, where that is known.
    found: Option<u32>,
}

impl Subject for Current {
    #[inline(always)]
    fn cgroup_at(&self, probe: Probe) -> Option<u64> {
        let cgroups: u64 = read(self.task, config::TASK_CGROUPS.load())?;
        let cgroup: u64 = if probe.hierarchy == of::V2 {
            read(cgroups, config::CGROUPS_DEFAULT.load())?
        } else {
            let states = config::CGROUPS_STATES.load();
            // At most as many as there are controllers, of which user space knows the numbers.
            let state: u64 = read(cgroups, states + 8 * (probe.hierarchy - 1))?;
            read(state, config::STATE_CGROUP.load())?
        };
        let level: u32 = read(cgroup, config::CGROUP_LEVEL.load())?;
        if probe.level > level {
            return None;
        }
        let ancestor: u64 = read(cgroup, config::CGROUP_ANCESTORS.load() + 8 * probe.level)?;
        if config::ANCESTORS_ARE_POINTERS.load() != 0 {
            id(ancestor)
        } else {
            Some(ancestor)
        }
    }

    /// As `ps` and `top` show it. `real_cred`, not `cred`: the kernel acts for others now and then while it works
    /// for a thread, as an overlay file system does for whoever mounted it.
    #[inline(always)]
    fn user(&self) -> Option<u32> {
        let credentials = read(self.task, config::TASK_CREDENTIALS.load())?;
        read(credentials, config::CREDENTIALS_USER.load())
    }

    #[inline(always)]
    fn comm(&self) -> Option<Comm> {
        let leader = read(self.task, config::TASK_LEADER.load())?;
        read(leader, config::TASK_COMM.load())
    }

    #[inline(always)]
    fn is_named(&self) -> bool {
        self.flags & NAMED != 0
    }

    #[inline(always)]
    fn recall(&self, filter: &Filter) -> Option<u32> {
        Some(match self.found {
            Some(found) => found,
            None => found(filter),
        })
    }

    #[inline(always)]
    fn remember(&self, filter: &Filter, found: u32) {
        if let Some((known, cgroup)) = known(filter) {
            *known = Known {
                cgroup,
                state: filter.state,
                found,
            };
        }
    }
}

/// What the places say of a cgroup of version 2.
#[repr(C)]
pub struct Known {
    /// Its id.
    cgroup: u64,
    /// The filter's state at the time.
    state: u32,
    /// Bits of `profiler_common::filter::verdict`.
    found: u32,
}

/// Where that of the current cgroup is kept, and its id; None where the filter looks at others.
#[inline(always)]
fn known(filter: &Filter) -> Option<(&'static mut Known, u64)> {
    if filter.flags & test::LOOKS_AT_V1 != 0 {
        return None;
    }
    // SAFETY: has no preconditions.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    let known = maps::PLACES.get_ptr_mut(cgroup as u32 & (PLACE_SLOTS - 1))?;
    // SAFETY: per-CPU memory that only this program uses, which cannot interrupt itself.
    Some((unsafe { &mut *known }, cgroup))
}

/// The id of a cgroup.
#[inline(always)]
pub fn id(cgroup: u64) -> Option<u64> {
    let node = read(cgroup, config::CGROUP_NODE.load())?;
    read(node, config::NODE_ID.load())
}
