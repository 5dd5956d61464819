//! The kernel side as user space sees it: loading and attaching the programs, the map of processes, and
//! the records in the ring buffers.

pub mod btf;
mod capacity;
mod error;
pub mod event;
pub mod filter;
mod load;
mod offsets;
mod perf;
mod programs;
pub mod registry;
mod rings;
mod sampling;
mod sent;
mod statistics;

pub use error::KernelError;
pub use load::{Kernel, Options};
pub use perf::{Clock, period_ns};
pub use statistics::RunTime;

use std::{panic, thread::ScopedJoinHandle};

/// What a thread returned; its panic goes on here.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|payload| panic::resume_unwind(payload))
}
