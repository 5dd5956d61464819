use profiler_common::record::{Final, Lifecycle, kind};
use zerocopy::{Immutable, IntoBytes};

use super::*;
use crate::host::process::Description;

const PERIOD_NS: u64 = 1_000_000;

fn take(collector: &mut Collector, record: &(impl IntoBytes + Immutable)) -> Option<Notice> {
    collector.take(record.as_bytes())
}

fn fork(parent: u64, generation: u64, pid: u32) -> Fork {
    Fork {
        kind: kind::FORK,
        padding: 0,
        pid,
        parent_pid: 0,
        padding2: 0,
        parent,
        generation,
    }
}

fn collector() -> Collector {
    let mut collector = Collector::new(PERIOD_NS, "full".into());
    collector.track(Tracked {
        generation: 1,
        ..Tracked::new(10, 1, Arc::new(Description::default()))
    });
    collector
}

/// Makes sure that children of children are known by the registration of their parent, whatever its process id is used
/// for by now.
#[test]
fn children_are_known_by_their_parents_registration() {
    let mut collector = collector();
    take(&mut collector, &fork(1, 2, 11));
    take(&mut collector, &fork(2, 3, 12));
    take(&mut collector, &fork(99, 4, 13));
    let pids: Vec<u32> = collector
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    assert_eq!(pids, [10, 11, 12]);
}

/// Makes sure that a thread's samples have all of its time where they are read after the news of its end.
#[test]
fn ends_wait_for_samples() {
    let mut collector = collector();
    let exit = Lifecycle {
        kind: kind::EXIT,
        last: 1,
        pid: 10,
        tid: 10,
        left_out: 0,
        time: 5,
        generation: 1,
        cpu: 10_000_000,
        taken: 1,
        outcomes: [0; 8],
    };
    let last = Final {
        kind: kind::FINAL,
        padding: 0,
        tid: 10,
        generation: 1,
        cpu: 12_000_000,
    };
    assert_eq!(take(&mut collector, &exit), Some(Notice::Ended(10, 5)));
    take(&mut collector, &last);
    let ends = collector.ends();
    let stack = Stack {
        kind: kind::STACK,
        padding: 0,
        pid: 10,
        generation: 1,
        id: 77,
        marks: mark::NO_FRAME,
        depth: 0,
        leaf_frames: 0,
        root_frames: 0,
    };
    take(&mut collector, &stack);
    let sample = Sample {
        kind: kind::SAMPLE,
        cpu: 0,
        periods: 1,
        left_out: 0,
        time: 4,
        generation: 1,
        stack: 77,
        cgroup: 0,
        pid: 10,
        tid: 10,
        runtime: 9_000_000,
    };
    take(&mut collector, &sample);
    assert!(!collector.has_ended(1));
    collector.tidy(ends);
    assert!(collector.has_ended(1));
    collector.close();
    let tallies: Vec<_> = collector.tallies.iter().collect();
    assert_eq!(tallies.len(), 1, "{tallies:?}");
    let (key, tally) = tallies[0];
    assert_eq!(*key, (1, 10, 77));
    assert_eq!((tally.count, tally.weight_ns), (1, 12_000_000));
    let process = &collector.processes[0];
    assert_eq!(collector.cpu_ns(process), Some(12_000_000));
}
