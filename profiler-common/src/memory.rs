//! Reading the memory of the process under profile.

/// Bytes at an address could not be read: the page is not mapped, not present (the kernel side cannot
/// wait for a page), or the process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// Reads bytes of the target. Every byte read is untrusted.
pub trait Memory {
    /// Copies `bytes` bytes (at most the size of `into`) from `address` of the target into `into`.
    ///
    /// # Errors
    /// [`Fault`] where any byte of the range cannot be read; `into` then holds nothing of meaning.
    fn read(&self, address: u64, into: &mut Window, bytes: u32) -> Result<(), Fault>;

    /// Reads a pointer-sized word.
    ///
    /// # Errors
    /// [`Fault`] where it cannot be read.
    fn read_word(&self, address: u64) -> Result<u64, Fault>;
}

/// How many 8-byte words a [`Window`] holds: a power of two, so that a masked index needs no check.
pub const WINDOW_WORDS: usize = 32;
/// How many bytes a [`Window`] holds.
pub const WINDOW_BYTES: u32 = (WINDOW_WORDS * 8) as u32;

/// A small copy of target memory with fields at offsets known only at run time.
///
/// Kept as 8-byte words and indexed by a mask: such an access compiles without a bounds check, which
/// is what the BPF verifier wants to see, and reads zero or neighbouring bytes, never out of bounds,
/// whatever the offset says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Window {
    words: [u64; WINDOW_WORDS],
}

impl Window {
    /// A window of zeroes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            words: [0; WINDOW_WORDS],
        }
    }

    /// The words, to be filled by an implementation of [`Memory`].
    pub fn words_mut(&mut self) -> &mut [u64; WINDOW_WORDS] {
        &mut self.words
    }

    /// The 8-byte field at `offset` (bytes, a multiple of 8 below [`WINDOW_BYTES`]).
    #[inline(always)]
    #[must_use]
    pub fn u64(&self, offset: u16) -> u64 {
        self.words[(offset as usize >> 3) & (WINDOW_WORDS - 1)]
    }

    /// The 4-byte field at `offset` (bytes, a multiple of 4 below [`WINDOW_BYTES`]).
    #[inline(always)]
    #[must_use]
    pub fn u32(&self, offset: u16) -> u32 {
        (self.u64(offset) >> ((offset as u32 & 4) * 8)) as u32
    }

    /// The byte at `offset` (below [`WINDOW_BYTES`]).
    #[inline(always)]
    #[must_use]
    pub fn u8(&self, offset: u16) -> u8 {
        (self.u64(offset) >> ((offset as u32 & 7) * 8)) as u8
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}
