//! The kernel's clocks that the standard library does not give as numbers.

/// The clock that the kernel side's times are of (`CLOCK_MONOTONIC`, `bpf_ktime_get_ns`), and that tells registrations
/// of a process apart, in ns.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// CPU time that this process has used so far, with all its threads (ns).
#[must_use]
pub fn own_cpu_ns() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// A clock that every Linux has (ns).
fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is valid for writes. With a clock that exists the call cannot fail; else `now` would stay zero.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    // Neither is negative: these clocks begin at zero.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
