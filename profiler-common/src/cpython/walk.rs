//! The walk over a thread's Python frames.
