//! The kernel side of pyprof-ebpf: entry points and maps.
//!
//! In the steady state, one firing of the sampling event runs one program: `sample` finds the process and the
//! thread, walks its frames and sends the sample. What is not known, or takes long, is left to a chain of
//! programs, linked by tail calls so that each is small enough for every supported kernel's verifier: `find`
//! searches for the thread's Python state, `walk` walks the frames behind that, or more of them, `publish` lists
//! what must be sent before a new stack, `capture` and `pieces` send code objects, `finish` sends the stack and
//! its sample. The walk itself is `profiler_common::cpython`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod capture;
mod cgroups;
mod chain;
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
mod search;
mod strangers;
mod user_memory;
mod walk;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

// The kernel offers its GPL-only helpers (reading memory, the current task) to programs under this licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
