//! Records become names and lines: code objects, native and kernel addresses.

pub mod ended;
pub mod lines;
pub mod live;
pub mod resolve;
pub mod section;
pub mod stack;
pub mod store;
pub mod text;
pub mod thread_names;
