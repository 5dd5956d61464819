//! Is a CPython mapped in a process, which one, and where are its structures?
//!
//! [`process::find`] goes through the executable mappings of a process. Each file is analysed once
//! ([`image::analyse`], remembered in [`cache::Cache`]): an interpreter is told by its contents, never by its name.
//! Its [`Layout`](profiler_common::cpython::layout::Layout) comes from the interpreter itself
//! ([`debug_offsets`], 3.13 and newer) or from [`table`] (3.6 to 3.12), and must pass [`check::check`].

pub mod cache;
pub mod check;
pub mod debug_offsets;
pub mod elf;
pub mod image;
pub mod landmarks;
pub mod literal;
pub mod maps;
pub mod process;
pub mod table;
pub mod target;
pub mod version;
pub mod words;

pub use cache::Cache;
pub use process::{Found, Interpreter, find};
