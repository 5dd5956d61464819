//! The kernel side as user space sees it: loading and attaching the programs, the map of processes, and
//! the records in the ring buffers.

pub mod btf;
mod capacity;
mod error;
pub mod event;
pub mod filter;
mod load;
mod perf;
pub mod registry;
mod sampling;
mod statistics;

pub use error::KernelError;
pub use load::{Kernel, Options, period_ns};
pub use perf::Clock;
