//! CPython seen from outside: where its structures lie ([`layout`]), how a thread's frames are walked
//! ([`walk`]) once its state is found ([`threads`]), and how a code object and its strings are read ([`code`]).

pub mod code;
#[cfg(test)]
mod image;
pub mod layout;
pub mod threads;
#[cfg(test)]
mod threads_tests;
pub mod walk;
#[cfg(test)]
mod walk_tests;
