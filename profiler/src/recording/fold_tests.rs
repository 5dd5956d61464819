use profiler_common::record::{Code, Final, Fork, Lifecycle, Sample, Stack, StackFrame, kind};
use zerocopy::{FromZeros as _, Immutable, IntoBytes};

use super::*;
use crate::{
    host::process::Description,
    recording::{bound::Bound, replay},
};

const PERIOD_NS: u64 = 1_000_000;

fn take(collector: &mut Collector, record: &(impl IntoBytes + Immutable)) {
    collector.take(record.as_bytes());
}

fn collector(limit: usize) -> Collector {
    let mut collector = Collector::new(PERIOD_NS, "full".into());
    collector.bound = Bound::new(limit);
    let description = Description {
        comm: "server".into(),
        ..Description::default()
    };
    collector.track(Tracked {
        generation: 1,
        ..Tracked::new(10, 1, Arc::new(description))
    });
    collector
}

/// A stack of one function, and a sample in it.
fn sample(collector: &mut Collector, generation: u64, tid: u32) {
    let key = 1 << 40 | generation;
    let code = Code {
        kind: kind::CODE,
        generation,
        key,
        name_kind: 1,
        file_kind: 1,
        name_bytes: 1,
        name_sent: 1,
        ..Code::new_zeroed()
    };
    collector.take(&[code.as_bytes(), b"f"].concat());
    let stack = Stack {
        kind: kind::STACK,
        generation,
        id: 1 << 41 | generation,
        depth: 1,
        leaf_frames: 1,
        ..Stack::new_zeroed()
    };
    let frame = StackFrame {
        key,
        ..StackFrame::new_zeroed()
    };
    collector.take(&[stack.as_bytes(), frame.as_bytes()].concat());
    let sample = Sample {
        kind: kind::SAMPLE,
        periods: 1,
        time: generation,
        generation,
        stack: stack.id,
        pid: tid,
        tid,
        runtime: PERIOD_NS,
        ..Sample::new_zeroed()
    };
    take(collector, &sample);
}

fn end(collector: &mut Collector, generation: u64, tid: u32, last: bool) {
    let exit = Lifecycle {
        kind: kind::EXIT,
        last: last.into(),
        pid: tid,
        tid,
        time: generation,
        generation,
        cpu: PERIOD_NS,
        taken: 1,
        ..Lifecycle::new_zeroed()
    };
    take(collector, &exit);
    let last = Final {
        kind: kind::FINAL,
        padding: 0,
        tid,
        generation,
        cpu: 2 * PERIOD_NS,
    };
    take(collector, &last);
}

fn read(collector: &mut Collector) {
    collector.tidy(collector.ends());
    assert!(
        collector
            .keep_bound()
            .is_none_or(|again| again.stacks.len() < 1_000)
    );
}

/// Makes sure that a storm of short processes stays within the bound, that their samples, time and counters stay as
/// sums, that one entry says for how many it stands, and that where there is room each has its own.
#[test]
fn ended_processes_are_folded() {
    const CHILDREN: u64 = 20_000;
    for (limit, has_room) in [(2 << 20, false), (usize::MAX, true)] {
        let mut collector = collector(limit);
        for child in 0..CHILDREN {
            let (generation, pid) = (100 + child, 100 + child as u32);
            let fork = Fork {
                kind: kind::FORK,
                pid,
                parent_pid: 10,
                parent: 1,
                generation,
                ..Fork::new_zeroed()
            };
            take(&mut collector, &fork);
            sample(&mut collector, generation, pid);
            end(&mut collector, generation, pid, true);
            if child % 10 == 0 {
                read(&mut collector);
            }
        }
        for _ in 0..10 {
            read(&mut collector);
        }
        // Those of the last lot are not put away yet.
        assert!(
            has_room || collector.bytes() < limit * 2,
            "{}",
            collector.bytes()
        );
        assert_eq!(collector.processes.len() == CHILDREN as usize + 1, has_room);
        assert_eq!(
            collector.processes.len() + collector.folded,
            CHILDREN as usize + 1
        );
        let profile = replay::finish(collector);
        assert!(profile.ledger.balances(), "{:?}", profile.ledger);
        assert_eq!(profile.ledger.delivered, CHILDREN);
        let weight: u64 = profile.samples.iter().map(|sample| sample.weight_ns).sum();
        assert_eq!(weight, 2 * PERIOD_NS * CHILDREN);
        let cpu: u64 = profile
            .processes
            .iter()
            .filter_map(|process| process.cpu_ns)
            .sum();
        assert_eq!(cpu, weight);
        let processes = profile
            .processes
            .iter()
            .map(|process| 1 + u64::from(process.others));
        assert_eq!(processes.sum::<u64>(), CHILDREN + 1);
    }
}

/// Makes sure that a thread for each request of a process that lives on does not grow without bound, and that samples
/// and time stay.
#[test]
fn ended_threads_are_folded() {
    const THREADS: u32 = 20_000;
    let limit = 1 << 20;
    let mut collector = collector(limit);
    for tid in 11..11 + THREADS {
        sample(&mut collector, 1, tid);
        end(&mut collector, 1, tid, false);
        if tid % 10 == 0 {
            read(&mut collector);
        }
    }
    for _ in 0..10 {
        read(&mut collector);
    }
    assert!(collector.bytes() < limit, "{}", collector.bytes());
    assert!(collector.threads.len() < 2_000 && collector.tallies.len() < 2_000);
    collector.close();
    let sums = collector
        .tallies
        .values()
        .fold((0, 0), |(count, ns), tally| {
            (count + tally.count, ns + tally.weight_ns)
        });
    assert_eq!(sums, (THREADS.into(), u64::from(THREADS) * 2 * PERIOD_NS));
}
