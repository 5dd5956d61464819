//! Records become names and lines: code objects, native and kernel addresses.

pub mod lines;
pub mod text;
pub mod thread_names;
