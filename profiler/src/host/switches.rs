//! How often this host's CPUs switch from one thread to another.

use std::{
    fs,
    time::{Duration, Instant},
};

/// The count at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Switches {
    count: u64,
    at: Instant,
}

impl Switches {
    /// That of now; None where /proc does not tell.
    #[must_use]
    pub fn now() -> Option<Self> {
        let count = parse(&fs::read_to_string("/proc/stat").ok()?)?;
        let at = Instant::now();
        Some(Self { count, at })
    }

    /// How many there have been a second since then, on all CPUs together.
    #[must_use]
    pub fn a_second(&self) -> Option<u64> {
        let now = Self::now()?;
        let between = now.at.saturating_duration_since(self.at);
        let between = between.max(Duration::from_millis(1)).as_secs_f64();
        Some((now.count.saturating_sub(self.count) as f64 / between) as u64)
    }
}

/// The line `ctxt 1990473` of /proc/stat (proc_stat(5)).
fn parse(stat: &str) -> Option<u64> {
    let count = stat.lines().find_map(|line| line.strip_prefix("ctxt "))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that the kernel's count is found among the others.
    #[test]
    fn the_count() {
        let stat =
            "cpu  10132153 290696 3084719\nintr 199292 13 2\nctxt 1990473\nbtime 1062191376\n";
        assert_eq!(parse(stat), Some(1_990_473));
        assert_eq!(parse("intr 1 2\n"), None);
        assert!(Switches::now().is_some_and(|switches| switches.a_second().is_some()));
    }
}
