//! A stream taken in many times at once, as if there were as many more CPUs, with processes of their own.

use std::path::Path;

use anyhow::Result;
use profiler::recording::{
    collector::Collector,
    replay,
    stream::{Entry, Process, Stream},
};
use profiler_common::record::{
    Code, Final, Fork, Lifecycle, Piece, Sample, Stack, StackFrame, Stranger, Thread, kind,
};
use serde_json::{Value, json};
use zerocopy::{FromBytes, IntoBytes};

use super::{
    allocations,
    replay::{middle, take, time},
};

/// Process ids of any host are lower (`PID_MAX_LIMIT`, Linux include/linux/threads.h).
const PID_LIMIT: u32 = 1 << 22;
/// Registrations are times since boot in ns: this is years.
const GENERATIONS: u64 = 1 << 56;
/// By how much a copy runs behind the one before (ns).
const DELAY: u64 = 10_007;
/// CPUs of a copy.
const CPUS: u16 = 2;

/// What makes the records of a copy its own.
#[derive(Clone, Copy)]
pub struct Copy {
    /// Added to the ids of processes and threads.
    ids: u32,
    generations: u64,
    /// Changes identities of code objects and stacks.
    identities: u64,
    time: u64,
    cpus: u16,
}

impl Copy {
    /// The copy of that number. Number 0 too has process ids that no host has.
    pub fn number(number: u32) -> Self {
        Self {
            ids: (number + 1) * PID_LIMIT,
            generations: u64::from(number) * GENERATIONS,
            // An odd factor, so that no two are the same: the one that Fibonacci hashing takes.
            identities: u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            time: u64::from(number) * DELAY,
            cpus: (number as u16).wrapping_mul(CPUS),
        }
    }

    /// The entries as they are in this copy; `words` holds their bytes.
    pub fn of<'a>(
        self,
        entries: impl Iterator<Item = Entry<'a>>,
        words: &'a mut Vec<u64>,
    ) -> Vec<Entry<'a>> {
        let mut batch = Batch::default();
        for entry in entries {
            batch.add(self, entry);
        }
        std::mem::swap(words, &mut batch.words);
        entries_in(words, &batch.places)
    }

    fn change(self, record: &mut [u8]) {
        let Some(&first) = record.first_chunk() else {
            return;
        };
        match u16::from_ne_bytes(first) {
            kind::SAMPLE => with(record, |sample: &mut Sample, _| {
                self.process(&mut sample.pid, &mut sample.generation);
                sample.tid += self.ids;
                sample.stack ^= self.identities;
                sample.time += self.time;
                sample.cpu += self.cpus;
            }),
            kind::STACK => with(record, |stack: &mut Stack, frames| {
                self.process(&mut stack.pid, &mut stack.generation);
                stack.id ^= self.identities;
                if let Ok(frames) = <[StackFrame]>::mut_from_bytes(frames) {
                    for frame in frames {
                        frame.key ^= self.identities;
                    }
                }
            }),
            kind::CODE => with(record, |code: &mut Code, _| {
                self.process(&mut code.pid, &mut code.generation);
                code.key ^= self.identities;
            }),
            kind::PIECE => with(record, |piece: &mut Piece, _| {
                piece.generation += self.generations;
                piece.key ^= self.identities;
            }),
            kind::THREAD => with(record, |thread: &mut Thread, _| {
                self.process(&mut thread.pid, &mut thread.generation);
                thread.tid += self.ids;
            }),
            kind::FORK => with(record, |fork: &mut Fork, _| {
                self.process(&mut fork.pid, &mut fork.generation);
                self.process(&mut fork.parent_pid, &mut fork.parent);
            }),
            kind::EXEC | kind::EXIT => with(record, |life: &mut Lifecycle, _| {
                self.process(&mut life.pid, &mut life.generation);
                life.tid += self.ids;
                life.time += self.time;
            }),
            kind::FINAL => with(record, |last: &mut Final, _| {
                last.tid += self.ids;
                last.generation += self.generations;
            }),
            kind::STRANGER => with(record, |stranger: &mut Stranger, _| {
                stranger.pid += self.ids;
                stranger.time += self.time;
            }),
            _ => {}
        }
    }

    fn process(self, pid: &mut u32, generation: &mut u64) {
        *pid += self.ids;
        // 0 says that there is no registration.
        if *generation != 0 {
            *generation += self.generations;
        }
    }
}

/// Changes a record of fixed size, and what follows it.
fn with<T: FromBytes + IntoBytes + zerocopy::KnownLayout>(
    record: &mut [u8],
    change: impl FnOnce(&mut T, &mut [u8]),
) {
    if let Ok((record, rest)) = T::mut_from_prefix(record) {
        change(record, rest);
    }
}

/// Where an entry lies among the words of a batch.
enum Place {
    Record { first: usize, bytes: usize },
    News,
    Read(u64),
    Process(Process),
}

/// Entries that are taken in at once.
#[derive(Default)]
struct Batch {
    words: Vec<u64>,
    places: Vec<Place>,
}

impl Batch {
    fn add(&mut self, copy: Copy, entry: Entry<'_>) {
        self.places.push(match entry {
            Entry::Record(record) => {
                let first = self.words.len();
                let bytes = record.len();
                self.words.resize(first + bytes.div_ceil(8), 0);
                let own = &mut self.words[first..].as_mut_bytes()[..bytes];
                own.copy_from_slice(record);
                copy.change(own);
                Place::Record { first, bytes }
            }
            Entry::News => Place::News,
            Entry::Read(time) => Place::Read(time),
            Entry::Process(mut process) => {
                copy.process(&mut process.pid, &mut process.generation);
                Place::Process(process)
            }
        });
    }
}

fn entries_in<'a>(words: &'a [u64], places: &[Place]) -> Vec<Entry<'a>> {
    let entry = |place: &Place| match *place {
        Place::Record { first, bytes } => Entry::Record(&words[first..].as_bytes()[..bytes]),
        Place::News => Entry::News,
        Place::Read(time) => Entry::Read(time),
        Place::Process(process) => Entry::Process(process),
    };
    places.iter().map(entry).collect()
}

/// Takes in so many copies at once, each round through the ring buffers with the records of all: CPU time for each
/// second of the recording, in its earlier and in its later half, and memory.
pub fn replay(file: &Path, copies: u32) -> Result<Value> {
    let stream = Stream::open(file)?;
    let entries: Vec<Entry<'_>> = stream.entries().collect();
    let (begin, steady) = entries.split_at(middle(&entries));
    let mut all = All {
        collector: Collector::new(stream.period_ns, String::new()),
        copies,
        memory: 0,
    };
    let halves = [begin, steady].map(|half| {
        let samples = all.collector.samples;
        let cpu = all.take(half);
        let (seconds, memory) = (seconds(half), all.memory);
        json!({
            "seconds": seconds,
            "samples_per_second": (all.collector.samples - samples) as f64 / seconds,
            "cpu_per_second": cpu as f64 / 1e9 / seconds,
            "bytes_in_use": memory,
        })
    });
    let finish = time(|| drop(replay::finish(all.collector)));
    Ok(json!({"halves": halves, "finish_s": finish as f64 / 1e9}))
}

/// From its first round through the ring buffers to its last.
fn seconds(entries: &[Entry<'_>]) -> f64 {
    let time = |entry: &Entry<'_>| match entry {
        Entry::Read(time) => Some(*time),
        _ => None,
    };
    let first = entries.iter().find_map(time).unwrap_or(0);
    let last = entries.iter().rev().find_map(time).unwrap_or(0);
    last.saturating_sub(first) as f64 / 1e9
}

struct All {
    collector: Collector,
    copies: u32,
    /// Bytes that the collector has in use, without the batches.
    memory: u64,
}

impl All {
    /// What that took (ns).
    fn take(&mut self, entries: &[Entry<'_>]) -> u64 {
        let mut cpu = 0;
        for round in entries.chunk_by(|before, _| !matches!(before, Entry::Read(_))) {
            let mut batch = Batch::default();
            for &entry in round {
                // One round is one round for all.
                let copies = match entry {
                    Entry::News | Entry::Read(_) => 1,
                    _ => self.copies,
                };
                // Those of one moment side by side: records of many CPUs come in turns.
                for copy in 0..copies {
                    batch.add(Copy::number(copy), entry);
                }
            }
            let entries = entries_in(&batch.words, &batch.places);
            let before = allocations::in_use();
            cpu += time(|| take(&mut self.collector, &entries));
            self.memory = (self.memory + allocations::in_use()).saturating_sub(before);
        }
        cpu
    }
}
