//! The maps. Sizes that depend on the host are set by the loader.

use aya_ebpf::{
    btf_maps::{self, ArrayOfMaps},
    macros::{btf_map, map},
    maps::{Array, HashMap, PerCpuArray, ProgramArray, RingBuf},
};
use profiler_common::{
    cpython::layout::Layout,
    filter::{Filter, Key},
    process::Process,
    shared,
};

use crate::{
    ended::Ended,
    filter::Known,
    scratch::{Capture, CgroupRecord, Clock, Scratch, ThreadEntry},
    strangers::Met,
};

/// Processes under profile, by process id. Written by user space, and by the fork, exec and exit
/// tracepoints; the sampling path only looks up.
#[map]
pub static PROCESSES: HashMap<u32, Process> =
    HashMap::with_max_entries(shared::DEFAULT_PROCESSES, 0);

/// The layouts of the interpreters met so far.
#[map]
pub static LAYOUTS: Array<Layout> = Array::with_max_entries(shared::MAX_LAYOUTS, 0);

/// The programs that the sampling program goes on to, by `profiler_common::shared::stage`.
#[map]
pub static STAGES: ProgramArray = ProgramArray::with_max_entries(shared::stage::COUNT, 0);

/// The state of the sample that is being taken on this CPU.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Where a code object is put together before it is sent.
#[map]
pub static CAPTURE: PerCpuArray<Capture> = PerCpuArray::with_max_entries(1, 0);

/// When this CPU's event fired last.
#[map]
pub static CLOCK: PerCpuArray<Clock> = PerCpuArray::with_max_entries(1, 0);

/// The period of the events, where user space may change it: by `profiler_common::shared::pace`.
#[map]
pub static PACE: Array<u64> = Array::with_max_entries(shared::pace::COUNT, 0);

/// The Python thread state of threads seen on this CPU: direct-mapped by thread id.
#[map]
pub static THREADS: PerCpuArray<ThreadEntry> =
    PerCpuArray::with_max_entries(shared::THREAD_SLOTS, 0);

/// Threads that have ended and are not freed yet.
#[map]
pub static ENDED: Array<Ended> = Array::with_max_entries(shared::ENDED_SLOTS, 0);

/// Processes that were met and are not under profile: direct-mapped by process id, and shared by all CPUs, so
/// that user space hears of each once.
#[map]
pub static STRANGERS: Array<Met> = Array::with_max_entries(shared::STRANGER_SLOTS, 0);

/// Stacks that this CPU has sent: direct-mapped by id.
#[map]
pub static SENT_STACKS: PerCpuArray<u64> = PerCpuArray::with_max_entries(shared::STACK_SLOTS, 0);

/// Code objects that this CPU has sent: direct-mapped by key.
#[map]
pub static SENT_CODE: PerCpuArray<u64> = PerCpuArray::with_max_entries(shared::CODE_SLOTS, 0);

/// The ring buffers of samples, by CPU number, so that no CPU waits for another. User space makes one for each CPU that it
/// samples, and larger: what is said here is only of which kind they are.
#[btf_map]
pub static RINGS: ArrayOfMaps<CpuRing, 1> = ArrayOfMaps::new();

/// A ring buffer of [`RINGS`]: a multiple of every page size.
type CpuRing = btf_maps::RingBuf<u8, 65_536>;

/// The ring buffer of the news of processes and cgroups, for all CPUs: it comes in the order in which it happened, and
/// finds room where samples do not.
#[map]
pub static NEWS: RingBuf = RingBuf::with_byte_size(shared::NEWS_BYTES, 0);

/// Counts what has no process to be counted at: by `profiler_common::shared::event`.
#[map]
pub static EVENTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(shared::event::COUNT, 0);

/// What is wanted of the processes under profile. Of no use, and small, where there is no filter.
#[map]
pub static FILTER: Array<Filter> = Array::with_max_entries(1, 0);

/// The places and users of the filter, with the bits of `profiler_common::filter::verdict`.
#[map]
pub static MATCHES: HashMap<Key, u32> = HashMap::with_max_entries(1, 0);

/// What the filter's places say of cgroups: direct-mapped by id.
#[map]
pub static PLACES: PerCpuArray<Known> = PerCpuArray::with_max_entries(shared::PLACE_SLOTS, 0);

/// Where the news of a cgroup is put together.
#[map]
pub static CGROUP: PerCpuArray<CgroupRecord> = PerCpuArray::with_max_entries(1, 0);
