//! What the bound of memory took from a profile.

/// How a recording stayed within its bound of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What the profiler may take (bytes).
    pub bound_bytes: u64,
    /// Stacks that were dropped: their samples have a mark in place of their frames.
    pub stacks: u64,
    /// Functions that were dropped, as no other stack had them.
    pub functions: u64,
}

impl Memory {
    /// Whether anything was dropped.
    #[must_use]
    pub const fn has_dropped(&self) -> bool {
        self.stacks > 0 || self.functions > 0
    }
}
