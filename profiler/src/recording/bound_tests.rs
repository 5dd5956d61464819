use std::sync::Arc;

use foldhash::HashMap;
use profiler_common::record::{Code, Sample, Stack, StackFrame, kind};
use proptest::prelude::*;
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::*;
use crate::host::process::Description;

const PERIOD_NS: u64 = 1_000_000;
const CPUS: usize = 2;
/// Slots of a CPU's caches: few, so that stacks push each other out.
const SLOTS: u64 = 8;

/// The kernel side as far as it matters here: what it has sent, by CPU, and what has not been read yet.
#[derive(Default)]
struct Kernel {
    stacks: [[u64; SLOTS as usize]; CPUS],
    code: [[u64; SLOTS as usize]; CPUS],
    rings: [Vec<Vec<u8>>; CPUS],
    time: u64,
    runtime: HashMap<u32, u64>,
    samples: u64,
}

impl Kernel {
    /// A thread is met in a stack: of the same functions as others, and one of its own.
    fn sample(&mut self, cpu: usize, tid: u32, stack: u64) {
        let keys = [1_000 + stack, 1 + stack % 3, 4];
        let id = 100_000 + stack;
        let slot = |id: u64| (id % SLOTS) as usize;
        if self.stacks[cpu][slot(id)] != id {
            for key in keys {
                if self.code[cpu][slot(key)] != key {
                    self.code[cpu][slot(key)] = key;
                    self.send_code(cpu, key);
                }
            }
            self.stacks[cpu][slot(id)] = id;
            let record = Stack {
                kind: kind::STACK,
                pid: 10,
                generation: 1,
                id,
                depth: 3,
                leaf_frames: 3,
                ..Stack::new_zeroed()
            };
            let frames = keys.map(|key| StackFrame {
                key,
                ..StackFrame::new_zeroed()
            });
            self.rings[cpu].push([record.as_bytes(), frames.as_bytes()].concat());
        }
        self.time += PERIOD_NS;
        self.samples += 1;
        let runtime = self.runtime.entry(tid).or_default();
        *runtime += PERIOD_NS;
        let record = Sample {
            kind: kind::SAMPLE,
            periods: 1,
            time: self.time,
            generation: 1,
            stack: id,
            pid: 10,
            tid,
            // The scheduler accounts now and then.
            runtime: *runtime / (3 * PERIOD_NS) * 3 * PERIOD_NS,
            ..Sample::new_zeroed()
        };
        self.rings[cpu].push(record.as_bytes().to_vec());
    }

    fn send_code(&mut self, cpu: usize, key: u64) {
        let name = key.to_string();
        let bytes = name.len() as u32;
        let record = Code {
            kind: kind::CODE,
            pid: 10,
            generation: 1,
            key,
            name_kind: 1,
            file_kind: 1,
            name_bytes: bytes,
            name_sent: bytes,
            ..Code::new_zeroed()
        };
        self.rings[cpu].push([record.as_bytes(), name.as_bytes()].concat());
    }

    fn send_again(&mut self, again: &Again) {
        let forget = |caches: &mut [[u64; SLOTS as usize]; CPUS], id: u64| {
            for cache in caches {
                cache[(id % SLOTS) as usize] = 0;
            }
        };
        for &id in &again.stacks {
            forget(&mut self.stacks, id);
        }
        for &key in &again.code {
            forget(&mut self.code, key);
        }
    }

    /// User space reads all ring buffers. What comes between the condemning and the kernel side's hearing of it is
    /// sampled `meanwhile`.
    fn read(&mut self, collector: &mut Collector, meanwhile: &[(usize, u32, u64)]) {
        for ring in &mut self.rings {
            for record in ring.drain(..) {
                collector.take(&record);
            }
        }
        collector.tidy(0);
        let again = collector.keep_bound();
        for &(cpu, tid, stack) in meanwhile {
            self.sample(cpu, tid, stack);
        }
        if let Some(again) = again {
            self.send_again(&again);
        }
    }
}

fn collector(limit: usize) -> Collector {
    let mut collector = Collector::new(PERIOD_NS, String::new());
    collector.bound = Bound::new(limit);
    collector.track(Tracked {
        generation: 1,
        ..Tracked::new(10, 1, Arc::new(Description::default()))
    });
    collector
}

/// Samples and time in all, and of these what stands under the mark.
fn sums(collector: &Collector) -> [(u64, u64); 2] {
    let mut sums = [(0, 0); 2];
    for ((_, _, stack), tally) in &collector.tallies {
        let stack = collector
            .store
            .stack(*stack)
            .expect("a stack of each tally");
        let is_dropped = stack.marks & mark::DROPPED != 0;
        for (samples, ns) in &mut sums[..=usize::from(is_dropped)] {
            *samples += tally.count;
            *ns += tally.weight_ns;
        }
        for &(key, _) in stack.places() {
            let name = collector
                .store
                .code(key)
                .and_then(|code| code.sections[0].complete());
            assert_eq!(name, Some(key.to_string().as_bytes()));
        }
    }
    sums
}

fn conclude(collector: &mut Collector, kernel: &mut Kernel) {
    kernel.read(collector, &[]);
    for (&tid, &runtime) in &kernel.runtime {
        collector.settle((1, tid), Some(runtime), 0);
    }
    collector.close();
    collector.close_bound();
}

/// Makes sure that what has not been met for longest goes, that what is met all the time stays, and that all is kept
/// where there is room.
#[test]
fn least_recently_met_goes() {
    for (limit, has_room) in [(40_000, false), (usize::MAX, true)] {
        let (mut collector, mut kernel) = (collector(limit), Kernel::default());
        for stack in 0..1_000 {
            kernel.sample(0, 10, stack);
            kernel.sample(1, 11, 9_999);
            if stack % 4 == 0 {
                kernel.read(&mut collector, &[]);
            }
        }
        conclude(&mut collector, &mut kernel);
        let memory = collector.bound.memory(1);
        assert_eq!(memory.has_dropped(), !has_room);
        let has = |stack: u64| collector.store.stack(100_000 + stack).is_some();
        assert_eq!((has(0), has(500)), (has_room, has_room));
        assert!(has(999) && has(9_999));
        let [all, dropped] = sums(&collector);
        assert_eq!(all, (2_000, 2_000 * PERIOD_NS));
        assert_eq!(dropped.0 > 0, !has_room);
        assert!(collector.bytes() <= limit);
        // A function of its own each, and more that they share.
        assert!(memory.functions >= memory.stacks);
        assert!(has(990), "no more goes than has to");
        assert_eq!(
            memory.stacks + collector.store.droppable().count() as u64,
            1_001
        );
    }
}

proptest! {
    /// Makes sure that under any bound, whatever is met on which CPU, and at whatever moment the ring buffers are read,
    /// each sample has a stack whose functions have names, or the mark, and that samples and time add up.
    #[test]
    fn nothing_is_lost(
        limit in 0_usize..60_000,
        met in prop::collection::vec((0..CPUS, 10_u32..13, 0_u64..40, 0_u8..4), 1..600),
    ) {
        let (mut collector, mut kernel) = (collector(limit), Kernel::default());
        for chunk in met.chunks(2) {
            let (cpu, tid, stack, read) = chunk[0];
            kernel.sample(cpu, tid, stack);
            if read == 0 {
                let meanwhile: Vec<_> = chunk[1..].iter().map(|met| (met.0, met.1, met.2)).collect();
                kernel.read(&mut collector, &meanwhile);
            }
        }
        conclude(&mut collector, &mut kernel);
        let activity = &collector.activity[&1];
        prop_assert_eq!(activity.unknown_stack, 0);
        prop_assert_eq!(activity.delivered, kernel.samples);
        let [all, dropped] = sums(&collector);
        prop_assert_eq!(all, (kernel.samples, kernel.samples * PERIOD_NS));
        prop_assert!(dropped.0 == 0 || collector.bound.memory(1).has_dropped());
    }
}
