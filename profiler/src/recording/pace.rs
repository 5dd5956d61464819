//! Keeps a recording within its budget: measures what it costs, and has the kernel side sample as often as that allows.

use std::time::{Duration, Instant};

use super::{Options, budget::Governor, collector::Collector};
use crate::{
    host::clock::own_cpu_ns,
    kernel::{self, Clock, Kernel, KernelError},
    profile::budget::Kept,
};

/// What was spent is looked at after so many periods: to look costs some tens of microseconds.
const PERIODS: f64 = 50.0;
/// After how long it is looked at least, and at most (s).
const TURN_S: (f64, f64) = (0.02, 1.0);

/// The pace of a recording with a budget.
#[derive(Debug)]
pub struct Pace {
    governor: Governor,
    clock: Clock,
    asked_hz: u64,
    /// When what was spent was looked at last, and how much that was: none of what it took to begin counts.
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// Of a recording on so many CPUs, where it has a budget.
    #[must_use]
    pub fn new(options: &Options, cpus: usize) -> Option<Self> {
        let budget = options.max_overhead?;
        Some(Self {
            governor: Governor::new(budget, cpus, options.rate_hz as f64),
            clock: options.clock,
            asked_hz: options.rate_hz,
            last: None,
        })
    }

    /// The sampling period (ns).
    #[must_use]
    pub fn period_ns(&self) -> u64 {
        let asked = kernel::period_ns(self.asked_hz);
        // At the rate that was asked for, that very period.
        ((1e9 / self.governor.rate_hz()) as u64).max(asked)
    }

    /// Looks at what was spent, and changes the period where that has to be.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn keep(
        &mut self,
        kernel: &mut Kernel,
        collector: &mut Collector,
    ) -> Result<(), KernelError> {
        let now = Instant::now();
        let turn_s = (PERIODS / self.governor.rate_hz()).clamp(TURN_S.0, TURN_S.1);
        if self
            .last
            .is_some_and(|(last, _)| (now - last).as_secs_f64() < turn_s)
        {
            return Ok(());
        }
        let spent = self.spent(kernel);
        let Some((last, before)) = self.last.replace((now, spent)) else {
            return Ok(());
        };
        let changed = self
            .governor
            .spend(now - last, spent.saturating_sub(before));
        if changed.is_some() {
            let period_ns = self.period_ns();
            kernel.change_period(period_ns)?;
            if self.clock == Clock::Cycles {
                // On the CPU clock, samples say for how many of the asked periods they stand.
                collector.period_ns = period_ns;
            }
        }
        Ok(())
    }

    fn spent(&self, kernel: &Kernel) -> Duration {
        let programs = kernel
            .run_time()
            .map_or(Duration::ZERO, |run_time| run_time.time);
        Duration::from_nanos(own_cpu_ns()) + programs
    }

    /// How the budget was kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.governor.kept()
    }
}
