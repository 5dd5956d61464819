//! Opening the sampling events.

use std::{
    fs, io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use aya::programs::perf_event::{HardwareEvent, PerfEventConfig, SoftwareEvent};

/// What the sampling event counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Clock {
    /// The CPU clock: a timer on each CPU; there everywhere.
    #[default]
    CpuClock,
    /// Hardware cycles, where the machine has such a counter: samples code that runs with interrupts off.
    Cycles,
}

impl Clock {
    /// As the kernel names it.
    #[must_use]
    pub fn config(self) -> PerfEventConfig {
        match self {
            Self::CpuClock => PerfEventConfig::Software(SoftwareEvent::CpuClock),
            Self::Cycles => PerfEventConfig::Hardware(HardwareEvent::CpuCycles),
        }
    }
}

/// `perf_event_attr` in its first version, of 64 bytes, in words; and what of
/// include/uapi/linux/perf_event.h belongs to it.
type Attributes = [u64; 8];
const TYPE_SOFTWARE: u64 = 1;
const COUNT_CPU_CLOCK: u64 = 0;
const DISABLED: u64 = 1;
const FLAG_PID_CGROUP: libc::c_ulong = 1 << 2;
const FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
const IOC_ENABLE: libc::Ioctl = 0x2400;
const IOC_SET_BPF: libc::Ioctl = 0x4004_2408;

/// CPU clocks, one on each CPU, that run only while a thread of one cgroup, or of one below it, is there.
///
/// A clock that is stopped in the middle of a period goes on there (`perf_swevent_cancel_hrtimer`, Linux
/// kernel/events/core.c), so that short bursts are sampled as often as long ones.
#[derive(Debug)]
pub struct Bound {
    _events: Vec<OwnedFd>,
}

impl Bound {
    /// Opens them, to run a program once in a period (ns) of the cgroup of version 2 with this directory.
    ///
    /// # Errors
    /// Where the kernel refuses, as it does where version 1 has the controller `perf_event`.
    pub fn open(
        cgroup: BorrowedFd<'_>,
        cpus: &[u32],
        period_ns: u64,
        program: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let mut attributes: Attributes = [0; 8];
        attributes[0] = TYPE_SOFTWARE | (size_of::<Attributes>() as u64) << 32;
        attributes[1] = COUNT_CPU_CLOCK;
        attributes[2] = period_ns;
        attributes[5] = DISABLED;
        let events = cpus
            .iter()
            .map(|&cpu| {
                let event = open(&attributes, cgroup, cpu)?;
                control(&event, IOC_SET_BPF, program.as_raw_fd())?;
                control(&event, IOC_ENABLE, 0)?;
                Ok(event)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { _events: events })
    }
}

fn open(attributes: &Attributes, cgroup: BorrowedFd<'_>, cpu: u32) -> io::Result<OwnedFd> {
    let no_group = -1;
    // SAFETY: the kernel reads as many bytes of `attributes` as these say they have, during the call.
    let number = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attributes.as_ptr(),
            cgroup.as_raw_fd(),
            cpu,
            no_group,
            FLAG_PID_CGROUP | FLAG_FD_CLOEXEC,
        )
    };
    let number = RawFd::try_from(number)
        .ok()
        .filter(|&number| number >= 0)
        .ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn control(event: &OwnedFd, request: libc::Ioctl, argument: RawFd) -> io::Result<()> {
    // SAFETY: both requests take a number.
    if unsafe { libc::ioctl(event.as_raw_fd(), request, argument) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The CPUs that are online.
///
/// # Errors
/// Where sysfs cannot be read.
pub fn online_cpus() -> io::Result<Vec<u32>> {
    let list = fs::read_to_string("/sys/devices/system/cpu/online")?;
    parse_cpu_list(list.trim())
        .ok_or_else(|| io::Error::other(format!("cannot understand the CPU list {list:?}")))
}

/// Reads a list such as `0-3,8`.
fn parse_cpu_list(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last > 65_535 {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that the kernel's list format is understood (Documentation/admin-guide/cputopology.rst).
    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0"), Some(vec![0]));
        assert_eq!(parse_cpu_list("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(parse_cpu_list("0-"), None);
        assert_eq!(parse_cpu_list(""), None);
    }
}
