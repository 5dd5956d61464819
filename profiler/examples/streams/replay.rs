//! Takes in a stream as a recording does, and says what that took.
//!
//! The functions that are timed are also those whose instructions callgrind counts, by their names: each is a function
//! of its own, and never part of another.

use std::{hint::black_box, path::Path};

use anyhow::Result;
use profiler::{
    host::clock::own_cpu_ns,
    kernel::event::{self, Event},
    profile::model::Profile,
    recording::{
        collector::Collector,
        replay,
        stream::{Entry, Stream},
    },
};
use serde_json::{Value, json};

use super::{allocations, copies::Copy};

/// Where the later half of a stream begins: behind half of the rounds through the ring buffers.
pub fn middle(entries: &[Entry<'_>]) -> usize {
    let reads = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| matches!(entry, Entry::Read(_)))
        .map(|(index, _)| index + 1);
    let reads: Vec<usize> = reads.collect();
    reads.get(reads.len() / 2).copied().unwrap_or(entries.len())
}

/// Takes in a stream: its earlier half, in which most stacks are new, and its later half.
pub fn replay(file: &Path) -> Result<Value> {
    let stream = Stream::open(file)?;
    let mut bytes = Vec::new();
    // No process of this host is to be taken for one of the stream's.
    let entries = Copy::number(0).of(stream.entries(), &mut bytes);
    let (begin, steady) = entries.split_at(middle(&entries));
    let mut collector = Collector::new(stream.period_ns, String::new());
    let decoding = time(|| decode(steady));
    let (mut samples_first, mut samples) = (0, 0);
    let beginning = time(|| samples_first = take_first(&mut collector, begin));
    let before = allocations::count();
    let taking = time(|| samples = take_steady(&mut collector, steady));
    let allocations = allocations::count() - before;
    let malformed = collector.malformed;
    let mut profile = None;
    let finishing = time(|| profile = Some(finish(collector)));
    Ok(json!({
        "samples_first": samples_first,
        "records_first": records(begin),
        "samples": samples,
        "records": records(steady),
        "malformed": malformed,
        "allocations": allocations,
        "stacks": profile.map_or(0, |profile| profile.stacks.len()),
        "ns": {"decode": decoding, "first": beginning, "steady": taking, "finish": finishing},
    }))
}

fn records(entries: &[Entry<'_>]) -> usize {
    let is_record = |entry: &&Entry<'_>| matches!(entry, Entry::Record(_));
    entries.iter().filter(is_record).count()
}

/// Reads records, and does nothing with them.
#[inline(never)]
fn decode(entries: &[Entry<'_>]) {
    for entry in entries {
        if let &Entry::Record(record) = entry
            && let Ok(Event::Sample(sample)) = event::parse(record)
        {
            black_box(&sample);
        }
    }
}

/// Takes in the first entries; how many samples there were.
#[inline(never)]
fn take_first(collector: &mut Collector, entries: &[Entry<'_>]) -> u64 {
    take(collector, entries);
    collector.samples
}

/// Takes in the entries after those; how many samples there were.
#[inline(never)]
fn take_steady(collector: &mut Collector, entries: &[Entry<'_>]) -> u64 {
    let before = collector.samples;
    take(collector, entries);
    collector.samples - before
}

#[inline(never)]
fn finish(collector: Collector) -> Profile {
    replay::finish(collector)
}

/// As a recording does it.
pub fn take(collector: &mut Collector, entries: &[Entry<'_>]) {
    let mut ends = 0;
    for entry in entries {
        match entry {
            Entry::News => ends = collector.ends(),
            Entry::Record(record) => {
                // There are no processes here to be looked at.
                let _ = collector.take(record);
            }
            Entry::Read(_) => collector.tidy(std::mem::take(&mut ends)),
            Entry::Process(process) => {
                if collector.tracked(process.generation).is_none() {
                    collector.track(replay::tracked(process));
                }
            }
        }
    }
}

/// CPU time of this process, which has one thread, in a function (ns).
pub fn time(work: impl FnOnce()) -> u64 {
    let before = own_cpu_ns();
    work();
    own_cpu_ns() - before
}
