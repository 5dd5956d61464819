//! The memory of a live process, read from user space while it runs.

use std::ptr;

use profiler_common::memory::{Fault, Memory, Words};
use zerocopy::IntoBytes as _;

/// Reads runs of bytes of any length: what user space wants besides [`Memory`].
pub trait ReadBytes {
    /// Fills `into` with the target's bytes from `address` on.
    ///
    /// # Errors
    /// [`Fault`] where any byte of the range cannot be read; `into` then holds nothing of meaning.
    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), Fault>;
}

/// The memory of a process, through `process_vm_readv`: the process is neither stopped nor traced. It
/// may change between two reads, and even during one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Process id in the profiler's own pid namespace.
    pub pid: u32,
}

impl ReadBytes for ProcessMemory {
    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        if into.is_empty() {
            return Ok(());
        }
        let local = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: into.len(),
        };
        let remote = libc::iovec {
            iov_base: ptr::without_provenance_mut(usize::try_from(address).map_err(|_| Fault)?),
            iov_len: into.len(),
        };
        let pid = libc::pid_t::try_from(self.pid).map_err(|_| Fault)?;
        // SAFETY: each array has the one element that its count says. `local` is exactly `into`, which
        // is borrowed mutably for the whole call; the kernel checks `remote` against the other process.
        let read =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        // What ends at a page that is not mapped is read up to there.
        if usize::try_from(read) == Ok(into.len()) {
            Ok(())
        } else {
            Err(Fault)
        }
    }
}

impl Memory for ProcessMemory {
    fn read<const WORDS: usize>(
        &self,
        address: u64,
        into: &mut Words<WORDS>,
        bytes: u32,
    ) -> Result<(), Fault> {
        let wanted = usize::try_from(bytes).map_err(|_| Fault)?;
        let buffer = into.words_mut().as_mut_bytes();
        self.read_bytes(address, buffer.get_mut(..wanted).ok_or(Fault)?)
    }

    fn read_word(&self, address: u64) -> Result<u64, Fault> {
        let mut raw = [0; 8];
        self.read_bytes(address, &mut raw)?;
        Ok(u64::from_ne_bytes(raw))
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::memory::{WINDOW_BYTES, Window};

    use super::*;
    use std::process;

    const OWN: fn() -> ProcessMemory = || ProcessMemory { pid: process::id() };

    /// Makes sure that words, windows and runs of bytes come out as they lie in memory.
    #[test]
    fn own_memory() {
        let bytes: Vec<u8> = (0..=255).collect();
        let address = bytes.as_ptr() as u64;

        let mut run = [0; 100];
        OWN().read_bytes(address + 7, &mut run).unwrap();
        assert_eq!(run, bytes[7..107]);

        let word = OWN().read_word(address + 1).unwrap();
        assert_eq!(word.to_ne_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);

        let mut window = Window::new();
        OWN().read(address, &mut window, WINDOW_BYTES).unwrap();
        assert_eq!(window.u8(0), 0);
        assert_eq!(window.u8(255), 255);
        assert_eq!(window.u64(8).to_ne_bytes(), bytes[8..16]);
    }

    /// Makes sure that a range with a single unreadable byte is a fault, as is one of no process.
    #[test]
    fn unreadable_memory() {
        let page = 4096;
        // SAFETY: a new anonymous mapping of two pages at an address of the kernel's choice.
        let pages = unsafe {
            libc::mmap(
                ptr::null_mut(),
                2 * page,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(pages, libc::MAP_FAILED);
        // SAFETY: the second page of the mapping made above, which nothing refers to.
        let unmapped = unsafe { libc::munmap(pages.byte_add(page), page) };
        assert_eq!(unmapped, 0);

        let end = pages as u64 + page as u64;
        assert_eq!(OWN().read_word(end - 8), Ok(0));
        assert_eq!(OWN().read_word(end - 7), Err(Fault));
        assert_eq!(OWN().read_bytes(end - 8, &mut [0; 9]), Err(Fault));
        assert_eq!(OWN().read_word(0), Err(Fault));
        assert_eq!(OWN().read_word(u64::MAX), Err(Fault));
        for pid in [u32::MAX, 0x7fff_ffff] {
            assert_eq!(ProcessMemory { pid }.read_word(end - 8), Err(Fault));
        }
    }

    /// Makes sure that no more is read than a window holds.
    #[test]
    fn larger_than_a_window() {
        let bytes = [0u8; 1024];
        let mut window = Window::new();
        let read = OWN().read(bytes.as_ptr() as u64, &mut window, WINDOW_BYTES + 1);
        assert_eq!(read, Err(Fault));
    }
}
