//! Writing to the ring buffers.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ringbuf_output, bpf_ringbuf_query},
};
use profiler_common::shared::NEWS_BYTES;

use crate::{config, maps};

/// There was no room.
pub struct Full;

/// When user space is to be woken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Once the buffer fills: user space also looks by itself, at least once a second.
    WhenFilling,
    /// At once.
    Now,
}

/// Where something is sent to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The ring buffer of this CPU.
    Samples,
    /// The ring buffer of the news, which is that of all CPUs.
    News,
}

impl To {
    /// The ring buffer, as programs name it: by the address of its definition, or by that which a look-up gives; and how
    /// many bytes in it are enough to wake user space. None on a CPU that is not sampled.
    #[inline(always)]
    fn ring(self) -> Option<(*mut c_void, u64)> {
        match self {
            Self::Samples => {
                // SAFETY: has no preconditions.
                let cpu = unsafe { bpf_get_smp_processor_id() };
                let ring = core::ptr::from_ref(maps::RINGS.get(cpu)?);
                Some((ring.cast_mut().cast(), config::WAKEUP_BYTES.load()))
            }
            Self::News => {
                let ring = &raw const maps::NEWS;
                Some((ring.cast_mut().cast(), u64::from(NEWS_BYTES / 4)))
            }
        }
    }
}

/// Copies `bytes` bytes at `data` to a ring buffer.
///
/// # Safety
/// `data` must be valid for `bytes` bytes, in a way that the verifier sees.
#[inline(always)]
pub unsafe fn send(to: To, data: *const u8, bytes: u64, wake: Wake) -> Result<(), Full> {
    let (ring, filling) = to.ring().ok_or(Full)?;
    // SAFETY: it is a ring buffer.
    let is_filling = || unsafe { bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA.into()) } > filling;
    let flags = if wake == Wake::Now || is_filling() {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    // SAFETY: it is a ring buffer, and `data` is valid for `bytes` bytes by the caller's promise.
    let result = unsafe { bpf_ringbuf_output(ring, data.cast_mut().cast(), bytes, flags.into()) };
    if result == 0 { Ok(()) } else { Err(Full) }
}

/// Sends a record of fixed size.
#[inline(always)]
pub fn send_record<T: Copy>(to: To, record: &T, wake: Wake) -> Result<(), Full> {
    let data = core::ptr::from_ref(record).cast();
    // SAFETY: a reference is valid for the size of its type; records are repr(C) without padding.
    unsafe { send(to, data, size_of::<T>() as u64, wake) }
}

/// Counts an event that has no process to be counted at.
#[inline(always)]
pub fn count(event: u32) {
    if let Some(counter) = maps::EVENTS.get_ptr_mut(event) {
        // SAFETY: the pointer is to this CPU's counter. An interruption between load and store can
        // lose a count of this diagnostic, never corrupt it.
        unsafe { *counter += 1 };
    }
}
