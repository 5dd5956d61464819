//! [`Memory`] of the current process, as the kernel lets a program read it.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use profiler_common::memory::{Fault, Memory, Words};

/// The user memory of the process that the event interrupted.
pub struct UserMemory;

impl Memory for UserMemory {
    #[inline(always)]
    fn read<const WORDS: usize>(
        &self,
        address: u64,
        into: &mut Words<WORDS>,
        bytes: u32,
    ) -> Result<(), Fault> {
        let bytes = if bytes > Words::<WORDS>::BYTES {
            Words::<WORDS>::BYTES
        } else {
            bytes
        };
        // SAFETY: `into` is valid for BYTES bytes and `bytes` is not more; the helper checks the
        // address and fails where the page is not present.
        let result = unsafe {
            bpf_probe_read_user(
                into.words_mut().as_mut_ptr().cast(),
                bytes,
                address as *const _,
            )
        };
        if result == 0 { Ok(()) } else { Err(Fault) }
    }

    #[inline(always)]
    fn read_word(&self, address: u64) -> Result<u64, Fault> {
        let mut word = 0u64;
        // SAFETY: `word` is valid for 8 bytes; the helper checks the address.
        let result = unsafe { bpf_probe_read_user((&raw mut word).cast(), 8, address as *const _) };
        if result == 0 { Ok(word) } else { Err(Fault) }
    }
}

/// Copies at most `limit` bytes to `into`.
///
/// # Safety
/// `into` must be valid for `limit` bytes.
#[inline(always)]
pub unsafe fn read_bytes(into: *mut u8, bytes: u32, limit: u32, address: u64) -> Result<(), Fault> {
    let bytes = if bytes > limit { limit } else { bytes };
    // SAFETY: the caller vouches for `limit` bytes, `bytes` is not more.
    let result = unsafe { bpf_probe_read_user(into.cast(), bytes, address as *const _) };
    if result == 0 { Ok(()) } else { Err(Fault) }
}
