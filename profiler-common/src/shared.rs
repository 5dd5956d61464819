//! Numbers that the kernel side and the user side must agree on.

/// Bytes of the ring buffer of the news of processes: room for thousands that end at once.
pub const NEWS_BYTES: u32 = 1 << 19;
/// Processes under profile at a time unless the loader, which knows the host, sets it.
pub const DEFAULT_PROCESSES: u32 = 8192;
/// Distinct interpreter builds on a host.
pub const MAX_LAYOUTS: u32 = 256;
/// Slots of the cache of thread states, per CPU, unless the loader, which knows the host, sets it.
pub const THREAD_SLOTS: u32 = 1024;
/// Slots of the cache of stacks that were sent, per CPU.
pub const STACK_SLOTS: u32 = 8192;
/// Slots of the table of threads that have ended and are not freed yet.
pub const ENDED_SLOTS: u32 = 8192;
/// Slots of the table of processes that were met and are not under profile.
pub const STRANGER_SLOTS: u32 = 8192;
/// Slots of the cache of what a filter's places say of cgroups, per CPU.
pub const PLACE_SLOTS: u32 = 1024;
/// Slots of the cache of code objects that were sent, per CPU.
pub const CODE_SLOTS: u32 = 16384;

// The caches are indexed by masked hashes.
const _: () = assert!(
    THREAD_SLOTS.is_power_of_two()
        && STACK_SLOTS.is_power_of_two()
        && CODE_SLOTS.is_power_of_two()
        && STRANGER_SLOTS.is_power_of_two()
        && PLACE_SLOTS.is_power_of_two()
        && ENDED_SLOTS.is_power_of_two()
);

/// The programs that follow the sampling program: indices in the map of stages.
pub mod stage {
    /// Searches for the thread's Python state.
    pub const FIND: u32 = 0;
    /// Walks frames.
    pub const WALK: u32 = 1;
    /// Sends a sample of a known stack, or lists what must be sent before.
    pub const PUBLISH: u32 = 2;
    /// Sends code objects.
    pub const CAPTURE: u32 = 3;
    /// Sends what of a code object did not fit in one record.
    pub const PIECES: u32 = 4;
    /// Sends a new stack and its sample.
    pub const FINISH: u32 = 5;
    /// How many there are.
    pub const COUNT: u32 = 6;
    /// The names of the programs, by index.
    pub const NAMES: [&str; COUNT as usize] =
        ["find", "walk", "publish", "capture", "pieces", "finish"];
}

/// The parts of a sample's way through the sampling program, in their order, behind each of which it can be made to
/// stop: the difference between the times that two of them take is what lies between.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its process is found, its record begun.
    Process = 1,
    /// The thread's Python state is found again, and its newest frame.
    Thread = 2,
    /// The frames are walked.
    Walk = 3,
    /// The stack is looked up among those that were sent.
    Stack = 4,
}

/// What is told of the period of the events where user space may change it: indices.
pub mod pace {
    /// How often user space has begun another period.
    pub const RESTARTS: u32 = 0;
    /// For how many of the periods that were asked for a firing stands now.
    pub const STRIDE: u32 = 1;
    /// How many there are.
    pub const COUNT: u32 = 2;
}

/// What is counted outside of any process.
pub mod event {
    /// A sample was lost on the kernel side, in whichever process.
    pub const SAMPLE_LOST: u32 = 0;
    /// The news of a process, of a thread's end or of a cgroup found no room: user space looks for itself then.
    pub const NEWS_LOST: u32 = 1;
    /// How many there are.
    pub const COUNT: u32 = 2;
}
