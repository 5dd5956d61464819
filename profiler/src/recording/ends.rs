//! The ends of threads and programs, in the accounts of a recording.

use std::mem;

use profiler_common::record::{Final, Lifecycle, kind, mark};

use super::{
    collector::{Collector, add_weight},
    owed,
    tracked::Counters,
    weigh::{Rest, ThreadKey},
};

/// News of an end. It is acted on when the samples have been read that were taken before.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Of a thread.
    Exit(Lifecycle),
    /// Of a program.
    Exec(Lifecycle),
    /// What a thread that ended used in all.
    Final(Final),
}

impl Collector {
    /// How many ends wait to be acted on.
    #[must_use]
    pub fn ends(&self) -> usize {
        self.ends.len()
    }

    /// Acts on the first of the ends that wait, keeps what is over in a smaller form, and gives the time of threads
    /// that no sample has met to a mark. To be called when all ring buffers have been read; `ends` is how many ends
    /// waited before.
    pub fn tidy(&mut self, ends: usize) {
        for (stack, frames) in mem::take(&mut self.unread) {
            self.read_live(&stack, &frames);
        }
        self.end_first(ends);
        let mut left = Vec::new();
        self.scale.tidy(|thread, rest| left.push((thread, rest)));
        self.weigh_rest(left);
        let Some(mut over) = self.past.due() else {
            return;
        };
        for thread in self.scale.threads() {
            // Its end was not heard of, but that of its process.
            if over.contains(&thread.0) {
                self.settle(thread, None, 0);
            }
        }
        // The final figures of their threads may still come: those wait for the next lot.
        for generation in self.scale.generations() {
            over.remove(&generation);
        }
        self.scale.forget(&over);
        self.spread_owed();
        self.make_up(|generation| over.contains(&generation));
        let line_tables = over
            .iter()
            .filter_map(|&generation| {
                let interpreter = self.tracked(generation)?.interpreter.as_ref()?;
                Some((generation, interpreter.layout.line_table))
            })
            .collect();
        self.past.take(
            &over,
            &line_tables,
            &mut self.store,
            &mut self.tallies,
            &mut self.threads,
        );
    }

    /// Forgets all threads that ended: recording is over. Those that no sample has met have their time under a
    /// mark, and time whose samples were lost is spread over those that arrived.
    pub fn close(&mut self) {
        let mut left = Vec::new();
        self.scale.close(|thread, rest| left.push((thread, rest)));
        self.weigh_rest(left);
        self.spread_owed();
    }

    /// Closes the account of a thread that has ended, or of one that lives on when recording ends; `left_out` is
    /// what its process had been left out by then.
    pub fn settle(&mut self, thread: ThreadKey, runtime: Option<u64>, left_out: u64) {
        let tallies = &mut self.tallies;
        self.scale.end(
            thread,
            runtime,
            left_out as u16,
            self.period_ns,
            |stack, ns| {
                add_weight(tallies, thread, stack, ns);
            },
        );
    }

    /// Ends a registration whose process goes on under another: with its counters and the CPU time of its threads
    /// so far (ns).
    pub fn replace(&mut self, generation: u64, counters: Counters, threads: &[(u32, u64)]) {
        for &(tid, ns) in threads {
            self.settle((generation, tid), Some(ns), counters.left_out);
        }
        let activity = self.activity.entry(generation).or_default();
        activity.replaced = true;
        activity.ended = Some(threads.iter().map(|&(_, ns)| ns).sum());
        activity.counters = Some(counters);
    }

    fn weigh_rest(&mut self, left: Vec<(ThreadKey, Rest)>) {
        for (thread, rest) in left {
            match rest {
                Rest::Unmet(ns) => self.weigh_mark(thread, mark::NOT_SAMPLED, ns),
                Rest::Owed(ns) => *self.owed.entry(thread).or_default() += ns,
            }
        }
    }

    fn spread_owed(&mut self) {
        let owed = mem::take(&mut self.owed);
        for (thread, ns) in owed::spread(&mut self.tallies, owed, owed::thread) {
            self.weigh_mark(thread, mark::NOT_SAMPLED, ns);
        }
    }

    fn end_first(&mut self, count: usize) {
        let mut ends = mem::take(&mut self.ends);
        for end in ends.drain(..count.min(ends.len())) {
            match end {
                End::Exit(exit) => self.exit(&exit),
                End::Exec(exec) => self.end(&exec),
                End::Final(last) => self.finish(&last),
            }
        }
        self.ends = ends;
    }

    fn exit(&mut self, exit: &Lifecycle) {
        let left_out = exit.left_out.into();
        self.settle((exit.generation, exit.tid), Some(exit.cpu), left_out);
        if exit.last == 1 {
            self.end(exit);
        } else {
            self.activity.entry(exit.generation).or_default().cpu_exited += exit.cpu;
        }
    }

    fn end(&mut self, record: &Lifecycle) {
        let execed = record.kind == kind::EXEC;
        if execed {
            let left_out = record.left_out.into();
            self.settle((record.generation, record.tid), Some(record.cpu), left_out);
        }
        self.past.ended(record.generation);
        let activity = self.activity.entry(record.generation).or_default();
        activity.execed = execed;
        activity.ended = Some(record.cpu);
        activity.counters = Some(Counters {
            taken: record.taken,
            outcomes: record.outcomes,
            left_out: record.left_out.into(),
        });
    }

    /// Takes in what a thread that has ended used in all.
    fn finish(&mut self, last: &Final) {
        let (thread, tallies) = ((last.generation, last.tid), &mut self.tallies);
        let more = self
            .scale
            .finish(thread, last.cpu, self.period_ns, |stack, ns| {
                add_weight(tallies, thread, stack, ns);
            });
        if let Some(more) = more {
            self.activity.entry(last.generation).or_default().cpu_exited += more;
        }
    }
}
