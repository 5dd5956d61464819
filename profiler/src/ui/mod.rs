//! What a person sees of a recording, and where.

pub mod progress;
pub mod terminal;
