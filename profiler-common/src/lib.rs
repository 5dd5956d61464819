//! What the kernel side and the user side of pyprof-ebpf share, and all logic that can be shared:
//! the records that travel through the ring buffers, the description of an interpreter's memory, and
//! the walk over a thread's Python frames, which is generic over [`memory::Memory`] so that the same
//! source runs in the kernel, over a live process from user space, and over byte images in tests.
#![cfg_attr(not(any(test, feature = "user")), no_std)]

pub mod comm;
pub mod cpython;
pub mod filter;
pub mod memory;
pub mod outcome;
pub mod process;
pub mod record;
pub mod shared;
