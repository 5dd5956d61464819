//! The ledger: taken = delivered + lost, per reason.

use std::collections::BTreeMap;

use profiler_common::outcome::Outcome;

/// How the samples of a process, or of all processes, ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// How often the sampling program fired in a process under profile.
    pub taken: u64,
    /// Samples that are in the profile.
    pub delivered: u64,
    /// Samples that are not, by reason. No entry is [`Outcome::Delivered`], none is 0.
    pub lost: BTreeMap<Outcome, u64>,
    /// Delivered samples whose stack was cut.
    pub truncated: u64,
}

impl Ledger {
    /// All samples that are not in the profile.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Whether every sample taken is accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.taken == self.delivered + self.lost_total()
    }

    /// Adds one sample lost for a reason.
    pub fn lose(&mut self, outcome: Outcome, samples: u64) {
        if samples > 0 {
            *self.lost.entry(outcome).or_default() += samples;
        }
    }

    /// Adds the samples of another ledger.
    pub fn add(&mut self, other: &Self) {
        self.taken += other.taken;
        self.delivered += other.delivered;
        self.truncated += other.truncated;
        for (&outcome, &samples) in &other.lost {
            self.lose(outcome, samples);
        }
    }
}
