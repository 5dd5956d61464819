//! The sampling events: one on each CPU, whose period can be changed while they run.
//!
//! aya attaches programs to events by links and keeps the events to itself; the period of an event that is attached
//! in the older way, by the event's own descriptor, can be changed (Linux Documentation: perf_event_open(2)).

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    thread,
    time::{Duration, Instant},
};

use super::{Clock, KernelError};

/// `perf_event_attr` in its first version, of 64 bytes (include/uapi/linux/perf_event.h).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    /// The period, or the frequency.
    sample: u64,
    sample_type: u64,
    read_format: u64,
    /// The bits that follow on `read_format`.
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

const _: () = assert!(size_of::<Attributes>() == 64);

// `enum perf_type_id`, and the first of each kind in `enum perf_hw_id` and `enum perf_sw_ids`.
const HARDWARE: u32 = 0;
const SOFTWARE: u32 = 1;
const CPU_CYCLES: u64 = 0;
const CPU_CLOCK: u64 = 0;
// Bits of `flags`.
const DISABLED: u64 = 1 << 0;
const FREQUENCY: u64 = 1 << 10;
/// `PERF_FLAG_PID_CGROUP`.
const IN_CGROUP: libc::c_ulong = 1 << 2;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;
// `_IO('$', 0)`, `_IOW('$', 4, __u64)` and `_IOW('$', 8, __u32)`.
const ENABLE: libc::Ioctl = 0x2400;
const SET_PERIOD: libc::Ioctl = 0x4008_2404;
const SET_BPF: libc::Ioctl = 0x4004_2408;

/// Over so much time (ns) the events of all CPUs begin, at most: nobody waits longer for the first.
const SPREAD_MAX_NS: u64 = 100_000_000;

/// The events. They fire until this is dropped.
#[derive(Debug, Default)]
pub struct Sampling {
    clock: Clock,
    period_ns: u64,
    events: Vec<OwnedFd>,
}

impl Sampling {
    /// Fires a program each period (ns), on each of these CPUs; where a cgroup of version 2 is given, by its directory,
    /// only while a thread of it, or of one below it, is there. A CPU clock that is stopped in the middle of a period
    /// goes on there (`perf_swevent_cancel_hrtimer`, Linux kernel/events/core.c), so that short bursts are sampled as
    /// often as long ones. Where version 1 has the controller `perf_event`, the kernel refuses.
    ///
    /// The CPUs do not fire at the same instant. A CPU clock fires a period after it begins, on its CPU, and each period
    /// from then on (`perf_swevent_start_hrtimer`, in the same file): the events begin one after the other, each where
    /// its turn in the period is. Bound to a cgroup, an event begins when that comes to the CPU, which is its turn.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(
        clock: Clock,
        period_ns: u64,
        cpus: &[u32],
        cgroup: Option<BorrowedFd<'_>>,
        program: BorrowedFd<'_>,
    ) -> Result<Self, KernelError> {
        let refused = |cpu| move |error| KernelError::Perf { cpu, clock, error };
        let events = cpus
            .iter()
            .map(|&cpu| open((clock, period_ns), cpu, cgroup, program).map_err(refused(cpu)))
            .collect::<Result<Vec<_>, _>>()?;
        let begin = Instant::now();
        for ((event, &cpu), turn) in events.iter().zip(cpus).zip(turns(period_ns, cpus.len())) {
            // Who is late does not wait: where there are more CPUs than fit into a period, they begin as they can.
            thread::sleep((begin + turn).saturating_duration_since(Instant::now()));
            enable(event).map_err(refused(cpu))?;
        }
        Ok(Self {
            clock,
            period_ns,
            events,
        })
    }

    /// The period (ns).
    pub const fn period_ns(&self) -> u64 {
        self.period_ns
    }

    /// Begins another period (ns) on each CPU, at once: a CPU clock begins it when it is told (`__perf_event_period`). So
    /// the CPUs come as close to each other as the calls, some microseconds: to wait for the turn of each would cost more
    /// wake-ups than a small budget has, ten times a second.
    pub fn restart(&mut self, period_ns: u64) {
        self.period_ns = period_ns;
        let value = self.clock.value(period_ns);
        for event in &self.events {
            // SAFETY: the kernel reads a word during the call. One that is refused, as by a CPU that was taken off,
            // changes nothing.
            unsafe { libc::ioctl(event.as_raw_fd(), SET_PERIOD, &raw const value) };
        }
    }
}

impl Clock {
    /// The period in the clock's own terms: cycles have a frequency in Hz, from which the kernel finds their period.
    fn value(self, period_ns: u64) -> u64 {
        match self {
            // A fixed period on a fixed grid: weights are made of it.
            Self::CpuClock => period_ns,
            Self::Cycles => (1_000_000_000 / period_ns.max(1)).max(1),
        }
    }
}

/// When the events of so many CPUs begin: evenly over a period, or over the first part of a long one.
fn turns(period_ns: u64, cpus: usize) -> impl Iterator<Item = Duration> {
    let (spread, cpus) = (period_ns.min(SPREAD_MAX_NS), cpus as u64);
    (0..cpus).map(move |turn| Duration::from_nanos(spread * turn / cpus))
}

/// Opens an event, which does not fire yet.
fn open(
    (clock, period_ns): (Clock, u64),
    cpu: u32,
    cgroup: Option<BorrowedFd<'_>>,
    program: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    let (kind, config, flags) = match clock {
        Clock::CpuClock => (SOFTWARE, CPU_CLOCK, 0),
        Clock::Cycles => (HARDWARE, CPU_CYCLES, FREQUENCY),
    };
    let attributes = Attributes {
        kind,
        size: size_of::<Attributes>() as u32,
        config,
        sample: clock.value(period_ns),
        flags: flags | DISABLED,
        ..Attributes::default()
    };
    let (any_process, no_group) = (-1, -1);
    let (whose, place) = match cgroup {
        Some(cgroup) => (cgroup.as_raw_fd(), IN_CGROUP),
        None => (any_process, 0),
    };
    // SAFETY: the kernel reads as many bytes of `attributes` as these say they have, during the call.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            whose,
            cpu,
            no_group,
            place | CLOSE_ON_EXEC,
        )
    };
    let descriptor = RawFd::try_from(descriptor)
        .ok()
        .filter(|&number| number >= 0)
        .ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    let event = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: both are open descriptors; this request takes the second as a number.
    if unsafe { libc::ioctl(event.as_raw_fd(), SET_BPF, program.as_raw_fd()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(event)
}

fn enable(event: &OwnedFd) -> io::Result<()> {
    // SAFETY: this request takes no argument.
    if unsafe { libc::ioctl(event.as_raw_fd(), ENABLE, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that events begin apart, within a period, and that nobody waits long for the last.
    #[test]
    fn turns_of_cpus() {
        let of = |period, cpus| turns(period, cpus).collect::<Vec<_>>();
        let milliseconds = Duration::from_millis;
        assert_eq!(of(10_000_000, 2), [0, 5].map(milliseconds));
        assert_eq!(of(1_000_000_000, 4), [0, 25, 50, 75].map(milliseconds));
        assert_eq!(of(10_000_000, 0), []);
        let many = of(10_101_010, 192);
        assert!(many.is_sorted_by(|earlier, later| *later - *earlier >= Duration::from_micros(52)));
        assert!(many[191] < Duration::from_nanos(10_101_010));
    }

    /// Makes sure that periods become what each clock takes, and never 0.
    #[test]
    fn values_of_clocks() {
        assert_eq!(Clock::CpuClock.value(1_003_000), 1_003_000);
        assert_eq!(Clock::Cycles.value(1_000_000), 1000);
        assert_eq!(Clock::Cycles.value(2_000_000_000), 1);
        assert_eq!(Clock::Cycles.value(0), 1_000_000_000);
    }
}
