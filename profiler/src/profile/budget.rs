//! A budget of CPU time for the profiler itself, and how it was kept.

use std::fmt;

/// What may be spent, as a person gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Per cent of a core, or of all.
    pub percent: f64,
    /// Whether it is of all cores of the host.
    pub of_host: bool,
}

impl Budget {
    /// How many cores' worth of CPU time that is, on a host of so many.
    #[must_use]
    pub fn cores(self, cpus: usize) -> f64 {
        self.percent / 100.0 * if self.of_host { cpus as f64 } else { 1.0 }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.of_host { "the host" } else { "a core" };
        write!(formatter, "{} % of {of}", self.percent)
    }
}

/// How a budget was kept. What recording cost before it sampled steadily, and what it costs to write the profile, is
/// no part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// What might be spent.
    pub budget: Budget,
    /// The same in CPU seconds per second.
    pub cores: f64,
    /// How long it was to be kept (s).
    pub seconds: f64,
    /// CPU time of the profiler and its programs in that time (s).
    pub spent: f64,
    /// How much of the time the rate was lower than asked for (s).
    pub lowered: f64,
    /// The mean rate in that part of the time (Hz); 0 where there was none.
    pub lowered_hz: f64,
    /// The lowest rate (Hz).
    pub lowest_hz: f64,
}

impl Kept {
    /// What was used, in the terms of the budget (per cent).
    #[must_use]
    pub fn percent(&self) -> f64 {
        let earned = self.cores * self.seconds;
        if earned > 0.0 {
            self.budget.percent * self.spent / earned
        } else {
            0.0
        }
    }

    /// Whether it was kept, within a tenth.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.percent() <= self.budget.percent * 1.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that budgets of a core and of the host are what they say, and that use is told in their terms.
    #[test]
    fn terms() {
        let core = Budget {
            percent: 0.5,
            of_host: false,
        };
        let host = Budget {
            of_host: true,
            ..core
        };
        assert_eq!((core.cores(8), host.cores(8)), (0.005, 0.04));
        assert_eq!(
            (core.to_string(), host.to_string()),
            ("0.5 % of a core".into(), "0.5 % of the host".into())
        );
        let kept = Kept {
            budget: host,
            cores: host.cores(8),
            seconds: 10.0,
            spent: 0.2,
            lowered: 0.0,
            lowered_hz: 0.0,
            lowest_hz: 99.0,
        };
        assert_eq!((kept.percent(), kept.is_kept()), (0.25, true));
        assert!(
            !Kept {
                spent: 0.45,
                ..kept
            }
            .is_kept()
        );
    }
}
