//! The host: its processes and what can be learnt of them from outside.

pub mod memory;
