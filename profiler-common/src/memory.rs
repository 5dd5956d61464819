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
    fn read<const WORDS: usize>(
        &self,
        address: u64,
        into: &mut Words<WORDS>,
        bytes: u32,
    ) -> Result<(), Fault>;

    /// Reads a pointer-sized word.
    ///
    /// # Errors
    /// [`Fault`] where it cannot be read.
    fn read_word(&self, address: u64) -> Result<u64, Fault>;
}

/// A small copy of target memory with fields at offsets known only at run time.
///
/// Kept as 8-byte words and indexed by a mask: such an access compiles without a bounds check, which
/// is what the BPF verifier wants to see, and reads zero or neighbouring bytes, never out of bounds,
/// whatever the offset says. `WORDS` must be a power of two.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Words<const WORDS: usize> {
    words: [u64; WORDS],
}

/// A copy of one structure.
pub type Window = Words<32>;
/// How many bytes a [`Window`] holds.
pub const WINDOW_BYTES: u32 = Window::BYTES;

impl<const WORDS: usize> Words<WORDS> {
    /// How many bytes it holds.
    pub const BYTES: u32 = {
        assert!(WORDS.is_power_of_two());
        (WORDS * 8) as u32
    };

    /// All zeroes.
    #[must_use]
    pub const fn new() -> Self {
        Self { words: [0; WORDS] }
    }

    /// The words, to be filled by an implementation of [`Memory`].
    pub const fn words_mut(&mut self) -> &mut [u64; WORDS] {
        &mut self.words
    }

    /// The 8-byte field at `offset` (bytes, a multiple of 8 below [`Self::BYTES`]).
    #[inline(always)]
    #[must_use]
    pub const fn u64(&self, offset: u16) -> u64 {
        self.words[(offset as usize >> 3) & (WORDS - 1)]
    }

    /// The 4-byte field at `offset` (bytes, a multiple of 4 below [`Self::BYTES`]).
    #[inline(always)]
    #[must_use]
    pub const fn u32(&self, offset: u16) -> u32 {
        (self.u64(offset) >> ((offset as u32 & 4) * 8)) as u32
    }

    /// The byte at `offset` (below [`Self::BYTES`]).
    #[inline(always)]
    #[must_use]
    pub const fn u8(&self, offset: u16) -> u8 {
        (self.u64(offset) >> ((offset as u32 & 7) * 8)) as u8
    }
}

impl<const WORDS: usize> Default for Words<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

/// A stretch of memory around structures that lie together, copied with one read instead of one for each.
///
/// Reading costs by the call, not by the byte: the frames of 3.11 and newer lie one behind the other in a
/// thread's data stack, callers below their callees, so that what lies below a frame is likely wanted
/// next. Older frames, which the allocator places, often do.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Stretch {
    /// Address of the first byte.
    begin: u64,
    /// Address behind the last byte.
    end: u64,
    /// Offset of the structure asked for last.
    at: u64,
    copy: Words<256>,
}

/// How far below a structure a [`Stretch`] reaches, in bytes.
pub const REACH: u64 = 1024;
/// The smallest page of any supported machine: memory on one page is there as a whole or not at all.
const PAGE: u64 = 4096;

// The structure itself, which may be as large as a window, must fit too.
const _: () = assert!(REACH + WINDOW_BYTES as u64 <= Words::<256>::BYTES as u64);

impl Stretch {
    /// Forgets what was read: memory has moved on.
    #[inline(always)]
    pub const fn clear(&mut self) {
        self.begin = 0;
        self.end = 0;
        self.at = 0;
    }

    /// Makes sure that the `bytes` bytes (at most [`WINDOW_BYTES`]) at `address` are in the copy, and
    /// returns their offset in it. With `reach`, what lies below on the same page is copied along.
    ///
    /// # Errors
    /// [`Fault`] where they cannot be read, or the address is no multiple of 8.
    #[inline(always)]
    pub fn hold<M: Memory>(
        &mut self,
        memory: &M,
        address: u64,
        bytes: u32,
        reach: bool,
    ) -> Result<u16, Fault> {
        let end = address.wrapping_add(u64::from(bytes));
        if address >= self.begin && end <= self.end {
            return Ok(self.found(address - self.begin));
        }
        if address & 7 != 0 {
            return Err(Fault);
        }
        let page = address & !(PAGE - 1);
        let below = if !reach {
            0
        } else if address - page < REACH {
            address - page
        } else {
            REACH
        };
        self.begin = address - below;
        self.end = end;
        if memory
            .read(self.begin, &mut self.copy, below as u32 + bytes)
            .is_err()
        {
            self.clear();
            return Err(Fault);
        }
        Ok(self.found(below))
    }

    /// Passes the offset through memory. The verifier does not follow what is in map memory, so that it
    /// need not look at what comes next twice, once for the range of offsets of either way here.
    #[inline(always)]
    fn found(&mut self, at: u64) -> u16 {
        let place = &raw mut self.at;
        // SAFETY: a unique reference is valid for writes and reads.
        unsafe {
            place.write_volatile(at);
            place.read_volatile() as u16
        }
    }

    /// The copy.
    #[inline(always)]
    #[must_use]
    pub const fn copy(&self) -> &Words<256> {
        &self.copy
    }
}
