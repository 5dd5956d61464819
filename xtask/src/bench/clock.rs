//! The CPU clock that samples, without a profiler behind it: what its interrupts alone take from a target.

use std::{
    fs, io,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
};

use anyhow::{Context, Result};

/// `perf_event_attr` in its first version, of 64 bytes (include/uapi/linux/perf_event.h), in words.
type Attributes = [u64; 8];

const SOFTWARE: u64 = 1;
const CPU_CLOCK: u64 = 0;

/// Ticks on every CPU until it is dropped.
pub struct Clock {
    _events: Vec<OwnedFd>,
}

impl Clock {
    /// Starts it, at so many ticks a second on each CPU.
    pub fn start(rate_hz: u32) -> Result<Self> {
        let mut attributes: Attributes = [0; 8];
        attributes[0] = SOFTWARE | (size_of::<Attributes>() as u64) << 32;
        attributes[1] = CPU_CLOCK;
        // Its period, in nanoseconds.
        attributes[2] = 1_000_000_000 / u64::from(rate_hz);
        let cpus = fs::read_to_string("/sys/devices/system/cpu/online")?;
        let events = online(&cpus)
            .map(|cpu| open(&attributes, cpu))
            .collect::<Result<_>>()?;
        Ok(Self { _events: events })
    }
}

fn open(attributes: &Attributes, cpu: i32) -> Result<OwnedFd> {
    let (any_process, no_group, flags) = (-1, -1, 0);
    // SAFETY: the kernel reads as many bytes of `attributes` as these say they have, during the call.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attributes.as_ptr(),
            any_process,
            cpu,
            no_group,
            flags,
        )
    };
    let descriptor = RawFd::try_from(descriptor)
        .ok()
        .filter(|&number| number >= 0)
        .ok_or_else(io::Error::last_os_error)
        .with_context(|| format!("no clock on CPU {cpu}"))?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The CPUs of a list such as `0-3,6`.
fn online(list: &str) -> impl Iterator<Item = i32> {
    list.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::online;

    /// Lists of CPUs are read as the kernel writes them, single ones and ranges.
    #[test]
    fn lists_of_cpus() {
        assert_eq!(online("0-2,5\n").collect::<Vec<_>>(), [0, 1, 2, 5]);
        assert_eq!(online("0\n").collect::<Vec<_>>(), [0]);
    }
}
