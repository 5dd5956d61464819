//! The kernel side of pyprof-ebpf.
#![no_std]
#![no_main]

use aya_ebpf::{macros::perf_event, programs::PerfEventContext};

/// Runs on every tick of the sampling clock.
#[perf_event]
pub fn sample(_context: PerfEventContext) -> u32 {
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
