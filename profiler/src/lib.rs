//! pyprof-ebpf: where every CPython process on a Linux host spends its time.
//!
//! Data goes one way: `host` -> `interpreter` -> `kernel` -> `symbols` -> `profile` -> `output`.

pub mod cli;
pub mod host;
pub mod interpreter;
pub mod kernel;
pub mod output;
pub mod profile;
pub mod recording;
pub mod symbols;
pub mod ui;
