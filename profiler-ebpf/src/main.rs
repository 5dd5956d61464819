//! The kernel side of pyprof-ebpf: entry points and maps.
//!
//! One firing of the sampling event runs a chain of programs, linked by tail calls so that each is small
//! enough for every supported kernel's verifier: `sample` finds the process and the thread, `find`
//! searches for the thread's Python state where it is not cached, `walk` walks the frames, `publish`
//! sends a sample of a known stack or lists what must be sent first, `capture` and `pieces` send code
//! objects, `finish` sends a new stack and its sample. The walk itself is `profiler_common::cpython`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod capture;
mod cgroups;
mod config;
mod ended;
mod filter;
mod kernel_memory;
mod lifecycle;
mod maps;
mod moves;
mod output;
mod publish;
mod sample;
mod scratch;
mod strangers;
mod user_memory;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

// The kernel offers its GPL-only helpers (reading memory, the current task) to programs under this licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
