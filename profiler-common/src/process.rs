//! What the kernel side knows of a process under profile: the value of the map of processes.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::outcome::OUTCOME_COUNT;

/// The kernel marks a process that has execed: it is no longer what was registered.
pub const STALE: u32 = 1 << 0;
/// Children that this process forks are profiled from their first sample on.
pub const FOLLOW_CHILDREN: u32 = 1 << 1;
/// This process was asked for by its id: where it runs does not matter to the filter.
pub const NAMED: u32 = 1 << 2;
/// So were its descendants.
pub const NAMES_CHILDREN: u32 = 1 << 3;

/// One registered process. Key of the map: the process id (tgid) in the initial pid namespace.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Tells this registration from any other use of the same pid (ns of the monotonic clock when it
    /// was made, so that it is unique without coordination).
    pub generation: u64,
    /// Address of the pointer to the first interpreter state, or 0.
    pub interpreters: u64,
    /// Address of a pointer to the thread state that holds the GIL (up to 3.11), or 0.
    pub current_thread: u64,
    /// Address of `PyCode_Type`, what a code object's `ob_type` must be; 0: not checked.
    pub code_type: u64,
    /// Index in the map of layouts.
    pub layout: u32,
    /// Bits: [`STALE`], [`FOLLOW_CHILDREN`], [`NAMED`], [`NAMES_CHILDREN`].
    pub flags: u32,
    /// How often the sampling program fired in it.
    pub taken: u64,
    /// How those samples ended as far as the kernel knows, by [`crate::outcome::Outcome`].
    pub outcomes: [u64; 8],
    /// How often it fired while the filter left the thread out: none of these were taken.
    pub left_out: u64,
}

const _: () = assert!(size_of::<Process>() == 120);
const _: () = assert!(OUTCOME_COUNT <= 8);

// SAFETY: repr(C), integers only, no padding (zerocopy checks it).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Process {}
