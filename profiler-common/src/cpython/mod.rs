//! CPython seen from outside: where its structures lie ([`layout`]), how a thread's frames are walked
//! ([`walk`]), and how a code object and its strings are read ([`code`]).

pub mod code;
pub mod layout;
pub mod walk;
