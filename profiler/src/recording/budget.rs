//! A budget of CPU time, held by sampling more slowly. Arithmetic alone: others measure and act.
//!
//! The budget is an account. Each second earns what may be spent in it, what the profiler and its programs take is
//! spent, and the rate is such that the account comes back to nothing within a second. So an overdraft, as when an
//! idle host becomes busy, is paid back, and the budget holds over any ten seconds and over the whole. What was not
//! spent can be saved for a fraction of a second only: else a quiet hour would buy a loud minute.

use std::time::Duration;

use crate::profile::budget::{Budget, Kept};

/// The lowest rate that is gone down to (Hz).
pub const SLOWEST_HZ: f64 = 1.0;
/// The rate that recording begins with (Hz), until it is known what a sample costs: on a large host a tenth of a
/// second at a high rate may cost what may be spent in a minute.
const FIRST_HZ: f64 = 100.0;
/// What is saved at most, in seconds of earning.
const SAVED_S: f64 = 0.25;
/// What is owed at most, in seconds of earning: what was overspent earlier is forgiven.
const OWED_S: f64 = 10.0;
/// How soon the account is to be even (s).
const EVEN_S: f64 = 1.0;
/// How long what was measured counts (s): after that time it counts for a third.
const MEMORY_S: f64 = 0.5;
/// How long the rate takes to double at least (s).
const DOUBLING_S: f64 = 0.1;
/// The rate is left alone where it would change by less than this part.
const DEAD: f64 = 0.1;
/// How many periods a rate is kept at least before it is raised: each change begins a period anew.
const PERIODS: f64 = 4.0;

/// Decides on the rate.
#[derive(Debug)]
pub struct Governor {
    asked_hz: f64,
    rate_hz: f64,
    /// What is saved, or owed (CPU s).
    account: f64,
    /// What was spent of late (CPU s), and at how many periods.
    spent: f64,
    periods: f64,
    /// Since the rate was changed last (s).
    unchanged: f64,
    /// Periods while the rate was lower than asked for.
    lowered_periods: f64,
    kept: Kept,
}

impl Governor {
    /// Keeps a budget on a host of so many CPUs; samples at `asked_hz` at most.
    #[must_use]
    pub fn new(budget: Budget, cpus: usize, asked_hz: f64) -> Self {
        let rate_hz = asked_hz.min(FIRST_HZ);
        Self {
            asked_hz,
            rate_hz,
            account: 0.0,
            spent: 0.0,
            periods: 0.0,
            unchanged: 0.0,
            lowered_periods: 0.0,
            kept: Kept {
                budget,
                cores: budget.cores(cpus),
                seconds: 0.0,
                spent: 0.0,
                lowered: 0.0,
                lowered_hz: 0.0,
                lowest_hz: rate_hz,
            },
        }
    }

    /// The rate (Hz).
    #[must_use]
    pub fn rate_hz(&self) -> f64 {
        self.rate_hz
    }

    /// How the budget was kept so far.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Takes in that so much CPU time was spent since the last call, which was so long ago. The new rate (Hz), where
    /// it is to be changed.
    pub fn spend(&mut self, elapsed: Duration, spent: Duration) -> Option<f64> {
        let (elapsed, spent) = (elapsed.as_secs_f64(), spent.as_secs_f64());
        if elapsed <= 0.0 {
            return None;
        }
        let periods = self.rate_hz * elapsed;
        self.note(elapsed, spent, periods);
        self.unchanged += elapsed;
        let fades = (-elapsed / MEMORY_S).exp();
        self.spent = self.spent * fades + spent;
        self.periods = self.periods * fades + periods;
        let account = self.account + self.kept.cores * elapsed - spent;
        self.account = account.clamp(-OWED_S * self.kept.cores, SAVED_S * self.kept.cores);
        // Dearer than of late: that counts at once.
        let cost = (self.spent / self.periods).max(spent / periods);
        let may_spend = (self.kept.cores + self.account / EVEN_S).max(0.0);
        let wanted = if cost > 0.0 {
            may_spend / cost
        } else {
            f64::INFINITY
        };
        let highest = (self.rate_hz * (elapsed / DOUBLING_S).min(1.0).exp2()).min(self.asked_hz);
        let rate_hz = wanted.min(highest).max(SLOWEST_HZ.min(self.asked_hz));
        let is_raised = rate_hz > self.rate_hz;
        let is_near = (rate_hz / self.rate_hz - 1.0).abs() < DEAD;
        // The last step up is taken, however small.
        let is_last = rate_hz >= self.asked_hz && self.rate_hz < self.asked_hz;
        if (is_near && !is_last)
            || rate_hz == self.rate_hz
            || (is_raised && self.unchanged * self.rate_hz < PERIODS)
        {
            return None;
        }
        self.rate_hz = rate_hz;
        self.unchanged = 0.0;
        self.kept.lowest_hz = self.kept.lowest_hz.min(rate_hz);
        Some(rate_hz)
    }

    fn note(&mut self, elapsed: f64, spent: f64, periods: f64) {
        self.kept.seconds += elapsed;
        self.kept.spent += spent;
        if self.rate_hz < self.asked_hz {
            self.kept.lowered += elapsed;
            self.lowered_periods += periods;
            self.kept.lowered_hz = self.lowered_periods / self.kept.lowered;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A host, as far as the budget matters: CPU seconds for each period of the rate, and for each second.
    #[derive(Clone, Copy, Debug)]
    struct Host {
        period_s: f64,
        second_s: f64,
        /// The part that user space takes, which comes one turn late.
        late: f64,
        /// How far a turn's cost is off (0.3: from 0.7 to 1.3 of it).
        noise: f64,
    }

    /// Lets a budget be held for some turns of a tenth of a second; what each cost, and its rate.
    fn hold(governor: &mut Governor, host: Host, turns: usize, seed: u64) -> Vec<(f64, f64)> {
        let mut state = seed | 1;
        let mut late = 0.0;
        (0..turns)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let off = 1.0 + host.noise * ((state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0);
                let rate = governor.rate_hz();
                let cost = rate * 0.1 * host.period_s * off;
                let spent = cost * (1.0 - host.late) + late + host.second_s * 0.1;
                late = cost * host.late;
                governor.spend(Duration::from_millis(100), Duration::from_secs_f64(spent));
                (spent, rate)
            })
            .collect()
    }

    fn sum(turns: &[(f64, f64)]) -> f64 {
        turns.iter().map(|turn| turn.0).sum()
    }

    fn within(cores: f64, asked_hz: f64) -> Governor {
        let budget = Budget {
            percent: cores * 100.0,
            of_host: false,
        };
        Governor::new(budget, 2, asked_hz)
    }

    const BUSY: Host = Host {
        period_s: 6e-6,
        second_s: 1e-3,
        late: 0.3,
        noise: 0.0,
    };

    /// Makes sure that a budget that is large enough lowers nothing, after the first moments.
    #[test]
    fn a_large_budget_keeps_the_rate() {
        let mut governor = within(0.5, 10_000.0);
        let turns = hold(&mut governor, BUSY, 100, 1);
        assert!(turns[10..].iter().all(|turn| turn.1 == 10_000.0));
        assert!(governor.kept().lowered < 1.0);
        let mut governor = within(0.5, 50.0);
        hold(&mut governor, BUSY, 100, 1);
        assert_eq!((governor.rate_hz(), governor.kept().lowered), (50.0, 0.0));
    }

    /// Makes sure that the rate settles, without going up and down, where the budget is spent and not overspent.
    #[test]
    fn it_settles() {
        let mut governor = within(0.01, 10_000.0);
        let turns = hold(&mut governor, BUSY, 300, 1);
        let rates: Vec<f64> = turns[50..].iter().map(|turn| turn.1).collect();
        let (low, high) = (
            rates.iter().copied().fold(f64::MAX, f64::min),
            rates.iter().copied().fold(0.0, f64::max),
        );
        // By hand: (0.01 - 0.001) / 6e-6.
        assert!(
            low > 1500.0 * 0.8 && high < 1500.0 * 1.25,
            "{low} to {high}"
        );
        let changes = rates.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes < 25, "{changes} changes");
        let spent = sum(&turns) / 30.0;
        assert!(spent > 0.0095 && spent < 0.0101, "{spent}");
    }

    /// Makes sure that a host that becomes a hundred times as dear is answered in the next turn, that what was
    /// overspent is paid back, and that the rate goes up again when the host is idle again.
    #[test]
    fn it_reacts_at_once() {
        let idle = Host {
            period_s: 1e-7,
            ..BUSY
        };
        let mut governor = within(0.01, 10_000.0);
        let before = hold(&mut governor, idle, 100, 1);
        assert_eq!(before[99].1, 10_000.0);
        let after = hold(
            &mut governor,
            Host {
                period_s: 1e-5,
                ..BUSY
            },
            200,
            1,
        );
        assert_eq!(after[0].1, 10_000.0);
        assert!(after[1].1 < 1_500.0, "{}", after[1].1);
        assert!(sum(&after[..100]) < 0.1 * 1.1, "{}", sum(&after[..100]));
        let again = hold(&mut governor, idle, 100, 1);
        assert_eq!(again[99].1, 10_000.0);
    }

    /// Makes sure that a budget that cannot be held leads to the lowest rate, and that debts do not grow for ever.
    #[test]
    fn there_is_a_lowest_rate() {
        let dear = Host {
            second_s: 0.02,
            ..BUSY
        };
        let mut governor = within(0.01, 1_000.0);
        hold(&mut governor, dear, 600, 1);
        assert_eq!(governor.rate_hz(), SLOWEST_HZ);
        assert!(governor.kept().spent > 0.01 * governor.kept().seconds);
        hold(&mut governor, BUSY, 300, 1);
        assert!(governor.rate_hz() > 900.0, "{}", governor.rate_hz());
    }

    /// Makes sure that a low rate is kept for some periods before it is raised: each change begins a period anew.
    #[test]
    fn low_rates_get_to_sample() {
        let mut governor = within(0.001, 1_000.0);
        let turns = hold(
            &mut governor,
            Host {
                second_s: 0.0008,
                period_s: 5e-5,
                ..BUSY
            },
            600,
            1,
        );
        let mut since = 0;
        for pair in turns.windows(2) {
            since += 1;
            if pair[1].1 > pair[0].1 {
                assert!(
                    pair[0].1 * f64::from(since) * 0.1 >= PERIODS * 0.99,
                    "{pair:?} after {since}"
                );
            }
            if pair[1].1 != pair[0].1 {
                since = 0;
            }
        }
    }

    proptest! {
        /// Makes sure that a budget that can be held is held over each ten seconds and the whole, and is made use of,
        /// whatever a sample costs.
        #[test]
        fn it_holds(
            cores in 0.001_f64..0.5,
            // What the asked rate would cost, in budgets.
            times in 0.2_f64..1000.0,
            fixed in 0.0_f64..0.5,
            late in 0.0_f64..0.6,
            noise in 0.0_f64..0.4,
            seed in any::<u64>(),
        ) {
            let host = Host {
                period_s: cores * times / 10_000.0,
                second_s: cores * fixed,
                late,
                noise,
            };
            let mut governor = within(cores, 10_000.0);
            // The first moments cost what they cost.
            hold(&mut governor, host, 50, seed);
            let turns = hold(&mut governor, host, 400, seed);
            for window in turns.windows(100) {
                let spent = sum(window) / 10.0;
                prop_assert!(spent <= cores * 1.1, "{spent} of {cores}");
            }
            let spent = sum(&turns) / 40.0;
            let possible = cores.min(cores * fixed + cores * times * (1.0 - noise / 2.0));
            prop_assert!(spent >= possible * 0.8, "{spent} of {cores}, at {} Hz", governor.rate_hz());
        }

        /// Makes sure that no measurement, however odd, leads out of the range of rates.
        #[test]
        fn rates_stay_in_range(
            turns in prop::collection::vec((0_u64..2_000_000_000, 0_u64..4_000_000_000), 1..60),
            asked in 1_u32..100_000,
        ) {
            let mut governor = within(0.01, f64::from(asked));
            for (elapsed, spent) in turns {
                governor.spend(Duration::from_nanos(elapsed), Duration::from_nanos(spent));
                prop_assert!(governor.rate_hz() >= SLOWEST_HZ && governor.rate_hz() <= f64::from(asked));
            }
        }
    }
}
