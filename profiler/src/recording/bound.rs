//! The bound of memory: what was met last the longest ago is dropped where there is too much.
//!
//! A stack that is dropped leaves its samples and their weight behind, under a mark. The kernel side, which sends a stack
//! once, is asked to send it again when it meets it: that is why a stack is condemned first and dropped later, when all
//! has been read that was sent before the kernel side was asked.

use foldhash::HashSet;
use profiler_common::{cpython::walk::Walk, record::mark};

use super::{
    collector::Collector,
    past::LATER,
    tracked::{Activity, SeenThread, Tally, Tracked},
};
use crate::{profile::memory::Memory, symbols::stack::RawStack};

/// What an entry of a table takes, until the profile is written: tables are half empty, and the profile has an entry for
/// each too.
const fn entry_bytes<T>(besides: usize) -> usize {
    4 * size_of::<T>() + besides
}

/// Samples of a stack in a thread, a thread, and a process.
const TALLY_BYTES: usize = entry_bytes::<(u64, u32, u64, Tally)>(0);
/// See [`TALLY_BYTES`]; its names.
const THREAD_BYTES: usize = entry_bytes::<SeenThread>(64);
/// See [`TALLY_BYTES`]; its description.
const PROCESS_BYTES: usize = entry_bytes::<(Tracked, Activity)>(512);

/// What is dropped at a time, of the bound: to find it, all that is kept is looked through.
const LOT: usize = 8;

/// The bound, and what it took.
#[derive(Debug)]
pub struct Bound {
    /// What may be kept (bytes).
    limit: usize,
    /// From where on it is worth a look (bytes).
    look: usize,
    /// Stacks that are condemned, and how often all ring buffers have been read since the kernel side was asked.
    condemned: Option<(Vec<u64>, u8)>,
    stacks: u64,
    functions: u64,
}

/// What the kernel side is to send again when it meets it.
#[derive(Debug)]
pub struct Again {
    /// Stacks, by id.
    pub stacks: Vec<u64>,
    /// Code objects, by key.
    pub code: HashSet<u64>,
}

/// A stack that can be dropped.
struct Candidate {
    /// When it was met last (ns).
    met: u64,
    id: u64,
    /// Whether its registration is over, and put away.
    is_past: bool,
}

impl Default for Bound {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Bound {
    /// So many bytes may be kept.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            look: limit,
            condemned: None,
            stacks: 0,
            functions: 0,
        }
    }

    /// What may be kept where the profiler may take `max_memory` in all, and takes `used` without what it keeps (bytes).
    #[must_use]
    pub fn beside(max_memory: u64, used: u64) -> Self {
        let rest = max_memory.saturating_sub(used).max(max_memory / 8);
        Self::new(usize::try_from(rest).unwrap_or(usize::MAX))
    }

    /// What was dropped, where `bound_bytes` was what the profiler might take in all.
    #[must_use]
    pub const fn memory(&self, bound_bytes: u64) -> Memory {
        Memory {
            bound_bytes,
            stacks: self.stacks,
            functions: self.functions,
        }
    }
}

impl Collector {
    /// What is kept takes so many bytes, until the profile is written. Estimated: nothing is looked through.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.store.bytes() + self.past.symbols.store.bytes() + self.bytes_of_tables()
    }

    /// Of these, what is kept of processes, threads and samples.
    fn bytes_of_tables(&self) -> usize {
        let tallies = self.tallies.len() + self.past.tallies.len();
        let threads = self.threads.len() + self.past.threads.len();
        tallies * TALLY_BYTES + threads * THREAD_BYTES + self.processes.len() * PROCESS_BYTES
    }

    /// Keeps to the bound, when all ring buffers have been read. What is returned is to be handed to the kernel side
    /// before they are read again.
    #[must_use]
    pub fn keep_bound(&mut self) -> Option<Again> {
        if let Some((stacks, rounds)) = &mut self.bound.condemned {
            *rounds += 1;
            if *rounds >= LATER {
                let stacks = std::mem::take(stacks);
                self.bound.condemned = None;
                self.drop_condemned(&stacks);
            }
            return None;
        }
        if self.bytes() <= self.bound.look {
            return None;
        }
        let stacks = self.choose();
        (!stacks.is_empty()).then(|| {
            let code = self.store.condemn(&stacks);
            self.bound.condemned = Some((stacks.clone(), 0));
            Again { stacks, code }
        })
    }

    /// Keeps to the bound at the end: no sample comes any more, and nothing has to be sent again.
    pub fn close_bound(&mut self) {
        self.bound.condemned = None;
        if self.bytes() > self.bound.limit {
            let stacks = self.choose();
            self.store.condemn(&stacks);
            self.drop_condemned(&stacks);
        }
    }

    /// Chooses what is to go: drops what is past at once, and returns which of the living's stacks are to be condemned.
    fn choose(&mut self) -> Vec<u64> {
        if self.bytes_of_tables() > self.bound.limit / 2 {
            self.fold();
        }
        let candidate = |is_past| move |(met, id)| Candidate { met, id, is_past };
        let living = self.store.droppable().map(candidate(false));
        let past = self.past.symbols.store.droppable().map(candidate(true));
        let mut all: Vec<Candidate> = living.chain(past).collect();
        all.sort_unstable_by_key(|candidate| candidate.met);
        let keep = self.bound.limit - self.bound.limit / LOT;
        let mut excess = self.bytes().saturating_sub(keep);
        let (mut living, mut past) = (Vec::new(), Vec::new());
        for candidate in all {
            if excess == 0 {
                break;
            }
            let (store, ids) = if candidate.is_past {
                (&self.past.symbols.store, &mut past)
            } else {
                (&self.store, &mut living)
            };
            excess = excess.saturating_sub(store.gain(candidate.id) + TALLY_BYTES);
            ids.push(candidate.id);
        }
        self.drop_past(&past);
        // Where even that is not enough, there is nothing to find before there is more.
        self.bound.look = self.bound.limit.saturating_add(excess);
        living
    }

    fn drop_condemned(&mut self, stacks: &[u64]) {
        let (dropped, code) = self.store.drop_condemned(stacks);
        self.count_dropped(dropped.len(), code);
        let stand_in = |generation| Walk::without_frames(mark::DROPPED, generation).id();
        self.scale
            .exchange(|generation, stack| dropped.contains(&stack).then(|| stand_in(generation)));
        let tallies = self
            .tallies
            .extract_if(|(_, _, stack), _| dropped.contains(stack));
        let tallies: Vec<_> = tallies.collect();
        for ((generation, tid, _), tally) in tallies {
            let id = stand_in(generation);
            if self.store.stack(id).is_none() {
                let marked = RawStack::marked(generation, mark::DROPPED);
                self.store.keep(id, marked, 0);
            }
            self.tallies
                .entry((generation, tid, id))
                .or_default()
                .add(tally);
        }
    }

    fn drop_past(&mut self, numbers: &[u64]) {
        if numbers.is_empty() {
            return;
        }
        let past = &mut self.past;
        let code = past.symbols.drop_stacks(numbers);
        let stand_in = past.symbols.mark(mark::DROPPED);
        let dropped: HashSet<u64> = numbers.iter().copied().collect();
        let tallies = past
            .tallies
            .extract_if(|(_, _, stack), _| dropped.contains(stack));
        let tallies: Vec<_> = tallies.collect();
        for ((generation, tid, _), tally) in tallies {
            past.tallies
                .entry((generation, tid, stand_in))
                .or_default()
                .add(tally);
        }
        self.count_dropped(dropped.len(), code);
    }

    fn count_dropped(&mut self, stacks: usize, functions: usize) {
        self.bound.stacks += stacks as u64;
        self.bound.functions += functions as u64;
    }
}

#[cfg(test)]
#[path = "bound_tests.rs"]
mod tests;
