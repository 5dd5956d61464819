//! Puts a profile together: equal functions, places and stacks are kept once, equal samples are added up.

use foldhash::{HashMap, fast::RandomState};
use indexmap::IndexSet;

use super::{
    ledger::Ledger,
    model::{Frame, Function, Location, Process, Profile, Recording, Sample, Stack, Thread},
};

/// A profile under construction.
#[derive(Debug, Default)]
pub struct Builder {
    processes: Vec<Process>,
    threads: Vec<Thread>,
    functions: Interner<Function>,
    locations: Interner<Location>,
    stacks: Interner<Stack>,
    samples: Vec<Sample>,
    sample_of: HashMap<(usize, usize), usize>,
}

impl Builder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a process and returns its index.
    pub fn process(&mut self, process: Process) -> usize {
        self.processes.push(process);
        self.processes.len() - 1
    }

    /// The process at an index that [`Builder::process`] returned.
    pub fn process_mut(&mut self, index: usize) -> Option<&mut Process> {
        self.processes.get_mut(index)
    }

    /// Adds a thread and returns its index.
    pub fn thread(&mut self, thread: Thread) -> usize {
        self.threads.push(thread);
        self.threads.len() - 1
    }

    /// The index of a function.
    pub fn function(&mut self, function: Function) -> usize {
        self.functions.insert_full(function).0
    }

    /// The index of a place in a function.
    pub fn location(&mut self, location: Location) -> usize {
        self.locations.insert_full(location).0
    }

    /// The index of a stack, given root first.
    pub fn stack(&mut self, frames: Vec<Frame>) -> usize {
        self.stacks.insert_full(Stack { frames }).0
    }

    /// Adds `count` samples that stand for `weight_ns`. The process's ledger is left to the caller, who
    /// alone knows what was taken.
    pub fn sample(&mut self, thread: usize, stack: usize, count: u64, weight_ns: u64) {
        let at = *self.sample_of.entry((thread, stack)).or_insert_with(|| {
            self.samples.push(Sample {
                process: self.threads[thread].process,
                thread,
                stack,
                count: 0,
                weight_ns: 0,
            });
            self.samples.len() - 1
        });
        let sample = &mut self.samples[at];
        sample.count = sample.count.saturating_add(count);
        sample.weight_ns = sample.weight_ns.saturating_add(weight_ns);
    }

    /// The finished profile; its ledger is the sum over the processes.
    #[must_use]
    pub fn finish(self, recording: Recording) -> Profile {
        let mut ledger = Ledger::default();
        for process in &self.processes {
            ledger.add(&process.ledger);
        }
        Profile {
            recording,
            processes: self.processes,
            threads: self.threads,
            functions: self.functions.into_iter().collect(),
            locations: self.locations.into_iter().collect(),
            stacks: self.stacks.into_iter().collect(),
            samples: self.samples,
            ledger,
        }
    }
}

/// Values by index, each once.
type Interner<T> = IndexSet<T, RandomState>;

#[cfg(test)]
mod tests {
    use crate::profile::{
        builder::Builder,
        model::{Frame, Function, Location, Mark, Thread},
    };

    /// Makes sure that equal functions, places and stacks share an index and equal samples are added up.
    #[test]
    fn equal_things_are_kept_once() {
        let mut builder = Builder::new();
        let thread = builder.thread(Thread {
            process: 0,
            tid: 1,
            name: "main".into(),
        });
        let mut stack = |mark| {
            let function = builder.function(Function {
                name: "f".into(),
                file: "f.py".into(),
                first_line: 1,
            });
            let location = builder.location(Location {
                function,
                line: 2,
                end_line: 2,
                column: None,
                end_column: None,
            });
            let stack = builder.stack(vec![Frame::Mark(mark), Frame::Python(location)]);
            builder.sample(thread, stack, 2, 20);
            (function, location, stack)
        };
        let first = stack(Mark::RootLost);
        let same = stack(Mark::RootLost);
        let other = stack(Mark::Unreadable);
        assert_eq!(first, same);
        assert_eq!((first.0, first.1), (other.0, other.1));
        assert_ne!(first.2, other.2);
        let weights: Vec<_> = builder.samples.iter().map(|s| s.weight_ns).collect();
        assert_eq!(weights, [40, 20]);
    }
}
