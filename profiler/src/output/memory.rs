//! What the bound of memory took, in a sentence.

use crate::profile::model::{Frame, Mark, Profile};

use super::text::{counted, percent, time};

/// The time that stands under the mark of stacks that were dropped, in ns, and the samples.
pub(super) fn dropped(profile: &Profile) -> (u64, u64) {
    let is_dropped = |stack: usize| {
        let frames = &profile.stacks[stack].frames;
        frames.contains(&Frame::Mark(Mark::Dropped))
    };
    profile
        .samples
        .iter()
        .filter(|sample| is_dropped(sample.stack))
        .fold((0, 0), |(ns, samples), sample| {
            (ns + sample.weight_ns, samples + sample.count)
        })
}

/// What a person wants to know, where something was dropped.
pub(super) fn sentence(profile: &Profile) -> Option<String> {
    let memory = profile.recording.memory;
    if !memory.has_dropped() {
        return None;
    }
    let total: u64 = profile.samples.iter().map(|sample| sample.weight_ns).sum();
    let (ns, _) = dropped(profile);
    Some(format!(
        "{} and {}, not met for longest, were dropped to stay within {}: {} of CPU time ({}) is under {}; \
         to keep them: --max-memory {}",
        counted(memory.stacks, "stack", "stacks"),
        counted(memory.functions, "function", "functions"),
        bytes(memory.bound_bytes),
        time(ns),
        percent(ns, total),
        Mark::Dropped.label(),
        twice(memory.bound_bytes),
    ))
}

/// What a person wants to know where processes share an entry.
pub(super) fn folded(profile: &Profile) -> Option<String> {
    let others = profile
        .processes
        .iter()
        .map(|process| u64::from(process.others))
        .sum::<u64>();
    let bound_bytes = profile.recording.memory.bound_bytes;
    (others > 0).then(|| {
        format!(
            "{} in an entry with others of the same program, to stay within {}; to keep them apart: --max-memory {}",
            counted(others, "ended process is", "ended processes are"),
            bytes(bound_bytes),
            twice(bound_bytes)
        )
    })
}

/// Twice the bound, as it is typed.
fn twice(bound_bytes: u64) -> String {
    bytes(bound_bytes.saturating_mul(2)).replace(' ', "")
}

/// An amount as `--max-memory` takes it.
fn bytes(amount: u64) -> String {
    let mebibytes = amount >> 20;
    if mebibytes >= 1024 && mebibytes.is_multiple_of(1024) {
        format!("{} GB", mebibytes >> 10)
    } else {
        format!("{mebibytes} MB")
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        output::testing::{process, recording},
        profile::{
            builder::Builder,
            memory::Memory,
            model::{Frame, Mark, Recording, Thread},
        },
    };

    use super::{folded, sentence};

    /// Makes sure that what was dropped is told with its share and what to do, and nothing where nothing was.
    #[test]
    fn it_is_told_with_what_to_do() {
        let profile = |memory| {
            let mut builder = Builder::new();
            let process = builder.process(process(1, "one"));
            let thread = builder.thread(Thread {
                process,
                tid: 1,
                name: "one".into(),
            });
            for (mark, ns) in [(Mark::Dropped, 250_000_000), (Mark::NoFrame, 750_000_000)] {
                let stack = builder.stack(vec![Frame::Mark(mark)]);
                builder.sample(thread, stack, 10, ns);
            }
            builder.finish(Recording {
                memory,
                ..recording()
            })
        };
        let memory = Memory {
            bound_bytes: 512 << 20,
            stacks: 12_345,
            functions: 1,
        };
        assert_eq!(
            sentence(&profile(memory)).unwrap_or_default(),
            "12,345 stacks and 1 function, not met for longest, were dropped to stay within 512 MB: 250 ms of CPU time \
             (25.0 %) is under [dropped: memory bound]; to keep them: --max-memory 1GB"
        );
        assert_eq!(sentence(&profile(Memory::default())), None);
        let mut profile = profile(memory);
        assert_eq!(folded(&profile), None);
        profile.processes[0].others = 1_234;
        assert_eq!(
            folded(&profile).unwrap_or_default(),
            "1,234 ended processes are in an entry with others of the same program, to stay within 512 MB; \
             to keep them apart: --max-memory 1GB"
        );
    }
}
