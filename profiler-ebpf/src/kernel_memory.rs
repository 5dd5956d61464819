//! Fields of the kernel's structures, at offsets from its own type information.

use aya_ebpf::helpers::bpf_probe_read_kernel;

/// A field that is an integer, or some of them; None where it cannot be read.
#[inline(always)]
pub fn read<T>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address; callers read integers.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
}

/// A field that is 0 where it cannot be read.
#[inline(always)]
pub fn read_or_zero<T: Default>(base: u64, offset: u32) -> T {
    read(base, offset).unwrap_or_default()
}
