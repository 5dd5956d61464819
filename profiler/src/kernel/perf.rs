//! What samples, and where.

use std::{fs, io};

/// What the sampling event counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Clock {
    /// The CPU clock: a timer on each CPU; there everywhere.
    #[default]
    CpuClock,
    /// Hardware cycles, where the machine has such a counter: samples code that runs with interrupts off.
    Cycles,
}

/// The sampling period of a rate, in ns.
///
/// Round rates are sampled 0.3 % slower than asked for: the scheduler's tick comes 100, 250, 300 or 1000
/// times a second, and a sampling clock in step with it would meet every time slice at the same place.
#[must_use]
pub const fn period_ns(rate_hz: u64) -> u64 {
    let rate = if rate_hz == 0 { 1 } else { rate_hz };
    let period = 1_000_000_000 / rate;
    if rate.is_multiple_of(50) {
        period + period * 3 / 1000
    } else {
        period
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
