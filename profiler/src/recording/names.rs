//! Asks processes for the names that their programs gave to threads, while they live.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::collector::Collector;
use crate::{
    host::{memory::ProcessMemory, process::thread_exists},
    symbols::thread_names::thread_names,
};

/// The time between two questions to a process, at first and at most: threads that have no name in
/// Python must not make us ask all the time.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// When to ask which process again.
#[derive(Debug, Default)]
pub struct Names {
    /// By registration: when to ask next, and how long to wait after that.
    due: HashMap<u64, (Instant, Duration)>,
    /// How many threads were known when names were last looked at.
    threads: usize,
}

impl Names {
    /// Asks the processes that have threads without a name and were not asked lately.
    pub fn ask(&mut self, collector: &mut Collector) {
        let now = Instant::now();
        if collector.threads.len() == self.threads
            && !self.due.values().any(|&(when, _)| when <= now)
        {
            return;
        }
        self.threads = collector.threads.len();
        let mut unnamed: Vec<u64> = Vec::new();
        for (&(generation, _), thread) in &collector.threads {
            if thread.name.is_none() && thread.ident != 0 {
                unnamed.push(generation);
            }
        }
        unnamed.sort_unstable();
        unnamed.dedup();
        self.due
            .retain(|generation, _| unnamed.binary_search(generation).is_ok());
        for generation in unnamed {
            let (when, pause) = self.due.get(&generation).copied().unwrap_or((now, FIRST));
            if when <= now && !collector.has_ended(generation) {
                name_threads(collector, generation);
                self.due
                    .insert(generation, (now + pause, (pause * 2).min(LONGEST)));
            }
        }
    }

    /// Asks every process once more that still lives: names may have changed.
    pub fn ask_all(collector: &mut Collector) {
        let mut generations: Vec<u64> = collector
            .threads
            .keys()
            .map(|&(generation, _)| generation)
            .collect();
        generations.sort_unstable();
        generations.dedup();
        for generation in generations {
            if !collector.has_ended(generation) {
                name_threads(collector, generation);
            }
        }
    }
}

fn name_threads(collector: &mut Collector, generation: u64) {
    let Some(process) = collector.tracked(generation) else {
        return;
    };
    let Some(interpreter) = &process.interpreter else {
        return;
    };
    let pid = process.pid;
    let (major, minor) = interpreter.version.feature();
    let names = thread_names(
        &ProcessMemory { pid },
        interpreter.interpreters,
        (major.into(), minor.into()),
    );
    for (&(of, tid), thread) in &mut collector.threads {
        // Idents are reused: a thread that has ended keeps the name that it had.
        if of == generation
            && let Some(name) = names.get(&thread.ident)
            && thread_exists(pid, tid)
        {
            thread.name = Some(name.name.clone());
        }
    }
}
