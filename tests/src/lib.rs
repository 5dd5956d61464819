//! The harness of the end-to-end tests: interpreters, programs of known truth, the profiler, and checks of what
//! it says against what is true.

pub mod bpf;
pub mod cgroups;
pub mod check;
pub mod collapsed;
pub mod containers;
pub mod cpu;
pub mod embedding;
pub mod environment;
pub mod held;
pub mod interpreters;
pub mod profiler;
pub mod speedscope;
pub mod stats;
pub mod target;
pub mod together;
