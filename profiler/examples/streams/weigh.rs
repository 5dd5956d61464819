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
/// take. `bytes_per_sample` is of samples and what goes with them: stacks, code objects, threads.
pub fn weigh(file: &Path) -> Result<Value> {
    let stream = Stream::open(file)?;
    let entries: Vec<Entry<'_>> = stream.entries().collect();
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut sampling = 0;
    for entry in &entries[super::replay::middle(&entries)..] {
        let &Entry::Record(bytes) = entry else {
            continue;
        };
        let (kind, goes_with_samples) = match event::parse(bytes)? {
            Event::Sample(_) => ("sample", true),
            Event::Stack(..) => ("stack", true),
            Event::Code(..) | Event::Piece(..) => ("code", true),
            Event::Thread(_) => ("thread", true),
            _ => ("other", false),
        };
        let taken = (bytes.len() + RING_HEADER).next_multiple_of(8) as u64;
        let (records, sum) = kinds.entry(kind).or_default();
        *records += 1;
        *sum += taken;
        if goes_with_samples {
            sampling += taken;
        }
    }
    let samples = kinds.get("sample").map_or(0, |&(records, _)| records);
    Ok(json!({
        "samples": samples,
        "bytes_per_sample": sampling as f64 / samples as f64,
        "kinds": kinds
            .into_iter()
            .map(|(kind, (records, bytes))| (kind, json!({"records": records, "bytes": bytes})))
            .collect::<BTreeMap<_, _>>(),
    }))
}
