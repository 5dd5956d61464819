//! Which samples are wanted: decided in the kernel, before anything is unwound.
//!
//! A filter has three parts. Places are cgroups with all below them: a sample is wanted if its thread is
//! in one of them, or if its process was asked for by name. Users and names of processes narrow that down.
//! What is excluded is out in any case.
//!
//! Places and users may be many, so that they are keys of a hash map. Of the cgroup that a thread is in, the
//! ancestors are looked up there, at those levels only at which there is any place.

use crate::comm::{Comm, CommPatterns};

/// Levels of hierarchies that are looked at, at most.
pub const MAX_PROBES: usize = 32;
/// Places and users at most.
pub const MAX_MATCHES: u32 = 8192;

/// Bits of [`Filter::flags`].
pub mod test {
    /// Only threads in an included place, and processes asked for by name.
    pub const NEEDS_PLACE: u32 = 1 << 0;
    /// Some place is excluded: one that is included does not settle it.
    pub const EXCLUDES_PLACES: u32 = 1 << 1;
    /// Some user is included or excluded.
    pub const LOOKS_AT_USER: u32 = 1 << 2;
    /// Only included users.
    pub const NEEDS_USER: u32 = 1 << 3;
    /// Some name is included or excluded.
    pub const LOOKS_AT_COMM: u32 = 1 << 4;
    /// Only included names.
    pub const NEEDS_COMM: u32 = 1 << 5;
    /// There are places of version 1.
    pub const LOOKS_AT_V1: u32 = 1 << 6;
    /// Some process was asked for by its id: for it, it does not matter where it runs.
    pub const NAMES_PROCESSES: u32 = 1 << 7;
}

/// What a match says: bits.
pub mod verdict {
    /// It is wanted.
    pub const INCLUDE: u32 = 1 << 0;
    /// It is not, whatever else says so.
    pub const EXCLUDE: u32 = 1 << 1;
}

/// What the id of a [`Key`] is of.
pub mod of {
    /// A cgroup of version 2.
    pub const V2: u32 = 0;
    /// A user.
    pub const USER: u32 = u32::MAX;

    /// A cgroup of the version 1 hierarchy of a controller, by the kernel's number of it
    /// (`enum cgroup_subsys_id`).
    #[must_use]
    pub const fn controller(subsystem: u32) -> u32 {
        subsystem + 1
    }
}

/// A cgroup or a user: key of the map of matches.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// One of [`of`].
    pub of: u32,
    /// Explicit padding.
    pub padding: u32,
    /// A cgroup's id, which is the inode number of its directory; or a user id of the initial user namespace.
    pub id: u64,
}

impl Key {
    /// A key.
    #[inline(always)]
    #[must_use]
    pub const fn new(of: u32, id: u64) -> Self {
        Self { of, padding: 0, id }
    }
}

/// Where in a hierarchy there are places.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// [`of::V2`] or [`of::controller`].
    pub hierarchy: u32,
    /// How far below the hierarchy's root, which is at 0.
    pub level: u32,
}

/// A filter, but for its places and users, which are in the map of matches.
///
/// User space appends probes while the kernel side reads: one that is seen too soon is all zeroes and finds
/// nothing. Once all is written, another number of the [state](Self::state) is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    /// Bits of [`mod@test`].
    pub flags: u32,
    /// How many probes there are.
    pub probe_count: u32,
    /// Changes with what is in the map of matches and with the probes, after them.
    pub state: u32,
    /// Explicit padding.
    pub padding: u32,
    /// Where places are.
    pub probes: [Probe; MAX_PROBES],
    /// Names of processes.
    pub comms: CommPatterns,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            flags: 0,
            probe_count: 0,
            state: 0,
            padding: 0,
            probes: [Probe::default(); MAX_PROBES],
            comms: CommPatterns::default(),
        }
    }
}

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Filter {
    /// Has a level of a hierarchy looked at; whether it was not before.
    ///
    /// # Errors
    /// [`Full`] where too many are already.
    pub fn probe(&mut self, probe: Probe) -> Result<bool, Full> {
        let count = self.probe_count as usize;
        if self.probes[..count].contains(&probe) {
            return Ok(false);
        }
        *self.probes.get_mut(count).ok_or(Full)? = probe;
        self.probe_count += 1;
        if probe.hierarchy != of::V2 {
            self.flags |= test::LOOKS_AT_V1;
        }
        Ok(true)
    }
}

/// The map of matches.
pub trait Matches {
    /// Bits of [`verdict`]; 0 where the key is not in the map.
    fn get(&self, key: &Key) -> u32;
}

/// A thread, as the filter sees it.
pub trait Subject {
    /// Of the cgroup that the thread is in: the id of the ancestor, or itself, at a level.
    fn cgroup_at(&self, probe: Probe) -> Option<u64>;
    /// The thread's effective user id, in the initial user namespace.
    fn user(&self) -> Option<u32>;
    /// The name of its process.
    fn comm(&self) -> Option<Comm>;
    /// Whether its process was asked for by name.
    fn is_named(&self) -> bool;

    /// What the places say of the cgroup that the thread is in, where that was found out in this state of the
    /// filter. A cgroup stays where it is, and its id is never used again.
    #[inline(always)]
    fn recall(&self, _filter: &Filter) -> Option<u32> {
        None
    }

    /// Keeps it for [`Self::recall`].
    #[inline(always)]
    fn remember(&self, _filter: &Filter, _found: u32) {}
}

/// Whether samples of a thread are wanted.
#[inline(always)]
pub fn passes(filter: &Filter, matches: &impl Matches, subject: &impl Subject) -> bool {
    let flags = filter.flags;
    if flags & test::LOOKS_AT_USER != 0 {
        let found = match subject.user() {
            Some(user) => matches.get(&Key::new(of::USER, u64::from(user))),
            None => 0,
        };
        if !is_fine(found, flags & test::NEEDS_USER != 0) {
            return false;
        }
    }
    if flags & test::LOOKS_AT_COMM != 0 {
        let found = match subject.comm() {
            Some(comm) => filter.comms.verdict(&comm),
            None => 0,
        };
        if !is_fine(found, flags & test::NEEDS_COMM != 0) {
            return false;
        }
    }
    let needs_place = flags & test::NEEDS_PLACE != 0 && !subject.is_named();
    let excludes = flags & test::EXCLUDES_PLACES != 0;
    if !needs_place && !excludes {
        return true;
    }
    let found = match subject.recall(filter) {
        Some(found) => found,
        None => find(filter, matches, subject),
    };
    is_fine(found, needs_place)
}

/// Whether the place of a thread may be enough to leave it out, whichever process it is of. Where it takes a look at
/// hierarchies of version 1, of which nothing is remembered, it is better to look at the process first.
#[inline(always)]
#[must_use]
pub const fn decides_by_place(flags: u32) -> bool {
    flags & test::LOOKS_AT_V1 == 0
        && (must_be_in_place(flags) || flags & test::EXCLUDES_PLACES != 0)
}

/// Whether a thread is left out whichever process it is of, by what the places say of its cgroup.
#[inline(always)]
#[must_use]
pub const fn is_out_of_place(flags: u32, found: u32) -> bool {
    !is_fine(found, must_be_in_place(flags))
}

#[inline(always)]
const fn must_be_in_place(flags: u32) -> bool {
    flags & test::NEEDS_PLACE != 0 && flags & test::NAMES_PROCESSES == 0
}

/// Finds out what the places say that a thread is in, and keeps it.
#[inline(always)]
pub fn find(filter: &Filter, matches: &impl Matches, subject: &impl Subject) -> u32 {
    let excludes = filter.flags & test::EXCLUDES_PLACES != 0;
    let found = place(filter, matches, subject, excludes);
    subject.remember(filter, found);
    found
}

/// What the places say that a thread is in.
#[inline(always)]
fn place(filter: &Filter, matches: &impl Matches, subject: &impl Subject, to_the_end: bool) -> u32 {
    let mut found = 0;
    for index in 0..MAX_PROBES {
        if index as u32 >= filter.probe_count {
            break;
        }
        let probe = filter.probes[index];
        if let Some(id) = subject.cgroup_at(probe) {
            found |= matches.get(&Key::new(probe.hierarchy, id));
            if found & verdict::EXCLUDE != 0 || (found != 0 && !to_the_end) {
                break;
            }
        }
    }
    found
}

#[inline(always)]
const fn is_fine(found: u32, must_be_included: bool) -> bool {
    found & verdict::EXCLUDE == 0 && (found & verdict::INCLUDE != 0 || !must_be_included)
}

const _: () = assert!(size_of::<Key>() == 16);
const _: () = assert!(size_of::<Probe>() == 8);
const _: () = assert!(size_of::<Filter>() == 16 + 8 * MAX_PROBES + size_of::<CommPatterns>());

// SAFETY: repr(C), integers only, no padding: the sizes above are the sums of the fields'.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Key {}
// SAFETY: as above.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Filter {}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
