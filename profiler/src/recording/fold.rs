//! What is over, folded where there is too much of it: ended processes of one program are one entry, ended threads of a
//! process are one thread.
//!
//! A host that starts a hundred short processes a second has millions a day. Their samples, time and counters stay, as
//! sums; what goes is which of them was which.

use std::{mem, sync::Arc};

use foldhash::{HashMap, HashSet};

use super::{
    collector::Collector,
    tracked::{Activity, Counters, SeenThread, Tracked},
};
use crate::interpreter::process::Interpreter;

/// The thread id of threads that are folded: no thread has it.
const FOLDED: u32 = 0;
/// The name of threads of a living process that are folded.
const ENDED_THREADS: &str = "[ended threads]";

/// What processes have in common that are one entry.
#[derive(PartialEq, Eq, Hash)]
struct Program {
    comm: String,
    command_line: String,
    cgroup: Option<String>,
    user: Option<String>,
    interpreter: Option<Arc<Interpreter>>,
    refused_interpreter: (Option<String>, Option<String>),
    refused: Option<String>,
    /// Where a filter has left all of it out, it is not in the profile.
    was_sampled: bool,
}

impl Collector {
    /// Folds what is over. What has its last news still to come is left alone.
    pub(super) fn fold(&mut self) {
        self.fold_processes();
        self.fold_threads();
    }

    fn fold_processes(&mut self) {
        let ending = self.past.ending();
        let is_over = |collector: &Self, process: &Tracked| {
            process.generation == 0
                || (collector.has_ended(process.generation)
                    && !ending.contains(&process.generation))
        };
        let mut kept: Vec<Tracked> = Vec::new();
        let mut entries: HashMap<Program, usize> = HashMap::default();
        let mut folded: HashMap<u64, u64> = HashMap::default();
        let before = self.processes.len();
        for process in mem::take(&mut self.processes) {
            if !is_over(self, &process) {
                kept.push(process);
            } else if process.refused.is_none() && self.was_brief(&process) {
                // The profile has no entry for it.
                self.activity.remove(&process.generation);
            } else if let Some(&entry) = entries.get(&self.program(&process)) {
                let into = &mut kept[entry];
                into.others += 1 + process.others;
                into.cpu_begin += process.cpu_begin;
                if process.generation != 0 {
                    let of = self
                        .activity
                        .remove(&process.generation)
                        .unwrap_or_default();
                    self.activity.entry(into.generation).or_default().add(of);
                    folded.insert(process.generation, into.generation);
                }
            } else {
                entries.insert(self.program(&process), kept.len());
                kept.push(process);
            }
        }
        self.folded += before - kept.len();
        self.place(kept);
        self.past.fold(&folded, FOLDED);
    }

    fn program(&self, process: &Tracked) -> Program {
        let description = &process.description;
        Program {
            comm: description.comm.clone(),
            command_line: description.command_line.clone(),
            cgroup: description.cgroup.clone(),
            user: description.user.clone(),
            interpreter: process.interpreter.clone(),
            refused_interpreter: process.refused_interpreter.clone(),
            refused: process.refused.clone(),
            was_sampled: self.counters(process).taken > 0,
        }
    }

    fn fold_threads(&mut self) {
        let living: HashSet<_> = self.scale.threads().into_iter().collect();
        // Time that they are owed is given to them in the end.
        let is_over = |thread: &(u64, u32), owed: &HashMap<_, _>| {
            thread.1 != FOLDED && !living.contains(thread) && !owed.contains_key(thread)
        };
        let tallies = self
            .tallies
            .extract_if(|&(generation, tid, _), _| is_over(&(generation, tid), &self.owed));
        let tallies: Vec<_> = tallies.collect();
        for ((generation, _, stack), tally) in tallies {
            self.tallies
                .entry((generation, FOLDED, stack))
                .or_default()
                .add(tally);
        }
        let threads = self
            .threads
            .extract_if(|thread, _| is_over(thread, &self.owed));
        let generations: HashSet<u64> = threads.map(|((generation, _), _)| generation).collect();
        for generation in generations {
            let seen = SeenThread {
                ident: 0,
                comm: ENDED_THREADS.to_owned(),
                name: Some(ENDED_THREADS.to_owned()),
            };
            self.threads.insert((generation, FOLDED), seen);
        }
    }
}

impl Activity {
    /// Adds that of another registration; both have ended.
    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.truncated += other.truncated;
        self.periods += other.periods;
        self.unknown_stack += other.unknown_stack;
        self.cpu_exited += other.cpu_exited;
        self.ended = Some(self.ended.unwrap_or(0) + other.ended.unwrap_or(0));
        let counters = self.counters.get_or_insert_default();
        counters.add(&other.counters.unwrap_or_default());
        self.replaced |= other.replaced;
    }
}

impl Counters {
    fn add(&mut self, other: &Self) {
        self.taken += other.taken;
        for (sum, outcome) in self.outcomes.iter_mut().zip(other.outcomes) {
            *sum += outcome;
        }
        self.left_out += other.left_out;
    }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
