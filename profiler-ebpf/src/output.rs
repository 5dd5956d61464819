//! Writing to the ring buffers.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ringbuf_output},
    maps::RingBuf,
};

use profiler_common::shared::NEWS_BYTES;

use crate::{config, maps};

/// There was no room.
pub struct Full;

/// When user space is to be woken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Once the buffer fills: user space also looks by itself several times a second.
    WhenFilling,
    /// At once.
    Now,
}

/// Copies `bytes` bytes at `data` to the ring buffer of this CPU.
///
/// # Safety
/// `data` must be valid for `bytes` bytes, in a way that the verifier sees.
#[inline(always)]
pub unsafe fn send(data: *const u8, bytes: u64, wake: Wake) -> Result<(), Full> {
    // SAFETY: has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let filling = config::WAKEUP_BYTES.load();
    // SAFETY: the caller's promise is passed on.
    unsafe {
        match cpu & config::RING_MASK.load() {
            0 => send_to(&maps::RING_0, data, bytes, wake, filling),
            1 => send_to(&maps::RING_1, data, bytes, wake, filling),
            2 => send_to(&maps::RING_2, data, bytes, wake, filling),
            _ => send_to(&maps::RING_3, data, bytes, wake, filling),
        }
    }
}

/// Copies `bytes` bytes at `data` to the ring buffer of the news.
///
/// # Safety
/// As for [`send`].
#[inline(always)]
pub unsafe fn tell(data: *const u8, bytes: u64, wake: Wake) -> Result<(), Full> {
    let filling = u64::from(NEWS_BYTES / 4);
    // SAFETY: the caller's promise is passed on.
    unsafe { send_to(&maps::NEWS, data, bytes, wake, filling) }
}

/// Tells a piece of news, a record of fixed size, as [`tell`] does.
#[inline(always)]
pub fn tell_record<T: Copy>(record: &T, wake: Wake) -> Result<(), Full> {
    // SAFETY: a reference is valid for the size of its type; records are repr(C) without padding.
    unsafe {
        tell(
            core::ptr::from_ref(record).cast(),
            size_of::<T>() as u64,
            wake,
        )
    }
}

#[inline(always)]
unsafe fn send_to(
    ring: &RingBuf,
    data: *const u8,
    bytes: u64,
    wake: Wake,
    filling: u64,
) -> Result<(), Full> {
    let flags = if wake == Wake::Now || ring.query(BPF_RB_AVAIL_DATA.into()) > filling {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    // SAFETY: `data` is valid for `bytes` bytes by the caller's promise; a map is repr(transparent) over
    // its definition, whose address is how programs name it.
    let result = unsafe {
        bpf_ringbuf_output(
            core::ptr::from_ref(ring).cast_mut().cast(),
            data.cast_mut().cast(),
            bytes,
            flags.into(),
        )
    };
    if result == 0 { Ok(()) } else { Err(Full) }
}

/// Sends a record of fixed size.
#[inline(always)]
pub fn send_record<T: Copy>(record: &T, wake: Wake) -> Result<(), Full> {
    // SAFETY: a reference is valid for the size of its type; records are repr(C) without padding.
    unsafe {
        send(
            core::ptr::from_ref(record).cast(),
            size_of::<T>() as u64,
            wake,
        )
    }
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
