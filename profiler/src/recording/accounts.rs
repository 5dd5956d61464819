//! The accounts of processes: samples taken, delivered and lost, and CPU time.

use profiler_common::outcome::Outcome;

use super::{
    collector::{Collector, YOUNG_NS},
    tracked::{Counters, Tracked},
};
use crate::profile::ledger::Ledger;

impl Collector {
    /// Whether a registration has ended: its process has, or runs another program.
    #[must_use]
    pub fn has_ended(&self, generation: u64) -> bool {
        self.activity
            .get(&generation)
            .is_some_and(|activity| activity.ended.is_some())
    }

    /// Whether a process was forked only to execute something else.
    #[must_use]
    pub fn was_brief(&self, process: &Tracked) -> bool {
        let activity = self.activity.get(&process.generation);
        process.cpu_begin == 0
            && activity.is_some_and(|activity| {
                activity.execed
                    && activity.ended.is_some_and(|cpu| cpu < YOUNG_NS)
                    && activity
                        .counters
                        .is_some_and(|counters| counters.taken == 0)
            })
    }

    /// The ledger of a registration.
    #[must_use]
    pub fn ledger(&self, process: &Tracked) -> Ledger {
        let mut ledger = Ledger::default();
        let activity = self.activity.get(&process.generation);
        if let Some(activity) = activity {
            ledger.delivered = activity.delivered;
            ledger.truncated = activity.truncated;
            ledger.lose(Outcome::UnknownStack, activity.unknown_stack);
        }
        let counters = self.counters(process);
        ledger.taken = counters.taken;
        for &outcome in Outcome::ALL {
            if outcome != Outcome::Delivered {
                ledger.lose(outcome, counters.outcomes[outcome as usize & 7]);
            }
        }
        if activity.is_some_and(|activity| activity.replaced) {
            // What was under way when the counters were read has arrived since.
            ledger.taken = ledger.taken.max(ledger.delivered + ledger.lost_total());
        }
        ledger
    }

    /// A process's counters, as far as they are known by now.
    #[must_use]
    pub fn counters(&self, process: &Tracked) -> Counters {
        self.activity
            .get(&process.generation)
            .and_then(|activity| activity.counters)
            .or(process.counters)
            .unwrap_or_default()
    }

    /// CPU time of a process while it was under profile (ns).
    #[must_use]
    pub fn cpu_ns(&self, process: &Tracked) -> Option<u64> {
        let activity = self.activity.get(&process.generation);
        let exited = activity.map_or(0, |activity| activity.cpu_exited);
        let rest = activity
            .and_then(|activity| activity.ended)
            .or(process.cpu_end)?;
        Some((rest + exited).saturating_sub(process.cpu_begin))
    }
}
