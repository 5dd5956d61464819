//! The host: which processes run, what they are called, what they may see.

pub mod caller;
pub mod cgroup;
pub mod clock;
pub mod containers;
pub mod hierarchies;
pub mod identity;
pub mod labels;
pub mod memory;
mod mountinfo;
pub mod permission;
pub mod process;
pub mod status;
pub mod switches;
pub mod users;
