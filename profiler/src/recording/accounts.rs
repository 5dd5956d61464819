//! The accounts of processes: samples taken, delivered and lost, and CPU time.

use foldhash::HashMap;

use profiler_common::outcome::Outcome;

use super::{
    collector::{Collector, YOUNG_NS},
    owed,
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

    /// Makes up for lost samples of those processes, of these registrations, which a filter has left out now and
    /// then: there, what a thread used between two samples is not known to have been wanted, and the time of those
    /// that were lost between them is in no weight. They are taken to have been like those that arrived.
    pub fn make_up(&mut self, of: impl Fn(u64) -> bool) {
        let mut weights: HashMap<u64, u64> = HashMap::default();
        for process in &self.processes {
            let is_meant = of(process.generation) && self.counters(process).left_out > 0;
            if is_meant && self.ledger(process).lost_total() > 0 {
                weights.insert(process.generation, 0);
            }
        }
        if weights.is_empty() {
            return;
        }
        for (&key, tally) in &self.tallies {
            if let Some(weight) = weights.get_mut(&owed::registration(key)) {
                *weight += tally.weight_ns;
            }
        }
        let owed = weights
            .into_iter()
            .filter_map(|(generation, weight)| {
                let process = self.tracked(generation)?;
                let ledger = self.ledger(process);
                let periods = self.activity.get(&generation)?.periods;
                let arrived = u128::from(periods) * u128::from(self.period_ns);
                let taken =
                    arrived * u128::from(ledger.taken) / u128::from(ledger.delivered.max(1));
                let most = self.cpu_ns(process).unwrap_or(u64::MAX);
                let wanted = u64::try_from(taken).unwrap_or(u64::MAX).min(most);
                Some((generation, wanted.saturating_sub(weight)))
            })
            .collect();
        // Where nothing at all has arrived, nothing is known.
        owed::spread(&mut self.tallies, owed, owed::registration);
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
