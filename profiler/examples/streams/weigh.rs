//! Records and bytes of a stream.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use profiler::{
    kernel::event::{self, Event},
    recording::stream::{Entry, Stream},
};
use serde_json::{Value, json};

/// Before each record in a ring buffer (`BPF_RINGBUF_HDR_SZ`, Linux include/uapi/linux/bpf.h); records begin at whole
/// words of eight bytes.
const RING_HEADER: usize = 8;

/// How many records there are of each kind in the later half of the stream, and how many bytes of a ring buffer they
/// take. `bytes_per_sample` is what nine of ten samples take at most, with all that is sent before them: the others are
/// those of stacks that are new on their CPU, and how many these are is not ours.
pub fn weigh(file: &Path) -> Result<Value> {
    let stream = Stream::open(file)?;
    let entries: Vec<Entry<'_>> = stream.entries().collect();
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut of_each = Vec::new();
    let mut since_last = 0;
    for entry in &entries[super::replay::middle(&entries)..] {
        let &Entry::Record(bytes) = entry else {
            continue;
        };
        let kind = match event::parse(bytes)? {
            Event::Sample(_) => "sample",
            Event::Stack(..) => "stack",
            Event::Code(..) | Event::Piece(..) => "code",
            Event::Thread(_) => "thread",
            _ => "other",
        };
        let taken = (bytes.len() + RING_HEADER).next_multiple_of(8) as u64;
        let (records, sum) = kinds.entry(kind).or_default();
        *records += 1;
        *sum += taken;
        since_last += taken;
        if kind == "sample" {
            of_each.push(std::mem::take(&mut since_last));
        }
    }
    of_each.sort_unstable();
    Ok(json!({
        "samples": of_each.len(),
        "bytes_per_sample": of_each.get(of_each.len() * 9 / 10),
        "kinds": kinds
            .into_iter()
            .map(|(kind, (records, bytes))| (kind, json!({"records": records, "bytes": bytes})))
            .collect::<BTreeMap<_, _>>(),
    }))
}
