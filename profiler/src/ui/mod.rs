//! What a person sees while recording.

pub mod progress;
