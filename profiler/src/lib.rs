//! pyprof-ebpf: where every CPython process on a Linux host spends its time.
//!
//! Data goes one way: `host` -> `interpreter` -> `kernel` -> `symbols` -> `profile` -> `output`.

pub mod host;
pub mod interpreter;
pub mod output;
pub mod profile;
pub mod symbols;
