//! The kernel side as user space sees it: loading and attaching the programs, the map of processes, and
//! the records in the ring buffers.

pub mod btf;
pub mod event;
pub mod filter;
mod load;
mod perf;
mod statistics;

pub use load::{Kernel, KernelError, Options, period_ns};
pub use perf::Clock;
