//! A stream that nobody has recorded: the same on every machine, and like those of real programs in what it takes to
//! take it in. Some processes with some threads each, whose stacks share most of their frames.

use std::{fs::File, io::BufWriter, path::Path};

use anyhow::{Context, Result};
use profiler::recording::stream::{Process, Writer};
use profiler_common::{
    cpython::layout::line_table,
    record::{Code, Final, Fork, Lifecycle, Sample, Stack, StackFrame, Thread, kind},
};
use serde_json::{Value, json};
use zerocopy::{FromZeros, IntoBytes};

const PERIOD_NS: u64 = 1_000_000;
const PROCESSES: u64 = 8;
const THREADS: u64 = 4;
/// Functions of a process.
const FUNCTIONS: u64 = 300;
/// Stacks of a thread.
const STACKS: u64 = 100;
/// Frames of a stack at least, and of how many more there are some.
const DEPTH: (u64, u64) = (10, 40);
/// How often ring buffers are read, and how many samples are in them then.
const READS: u64 = 400;
const SAMPLES: u64 = 200;
/// The scheduler accounts CPU time each so many samples.
const TICK: u64 = 3;
/// Every so many rounds a process is forked that takes a few samples and ends; in the earlier half alone, so that
/// nothing new is met in the later.
const FORK_EACH: u64 = 20;

/// Writes it.
pub fn write(file: &Path) -> Result<Value> {
    let out = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let mut made = Synthetic {
        writer: Writer::new(BufWriter::new(out), PERIOD_NS),
        random: Random(1),
        now: 1_000_000_000_000,
        runtimes: [0; (PROCESSES * THREADS) as usize],
        samples: 0,
    };
    for process in 0..PROCESSES {
        made.writer.process(&Process {
            generation: generation(process),
            pid: pid(process),
            line_table: line_table::LOCATIONS.into(),
        });
        made.begin(process);
    }
    for round in 0..READS {
        if round < READS / 2 && round % FORK_EACH == 0 {
            made.child(round);
        }
        made.writer.news();
        for _ in 0..SAMPLES {
            made.sample();
        }
        made.writer.read(made.now, &[]);
    }
    let samples = made.samples;
    made.writer.finish()?;
    Ok(json!({"samples": samples}))
}

struct Synthetic {
    writer: Writer,
    random: Random,
    /// Time (ns).
    now: u64,
    /// CPU time of each thread (ns).
    runtimes: [u64; (PROCESSES * THREADS) as usize],
    samples: u64,
}

fn generation(process: u64) -> u64 {
    1_000_000 + process
}

fn pid(process: u64) -> u32 {
    1000 + 100 * process as u32
}

fn tid(process: u64, thread: u64) -> u32 {
    pid(process) + thread as u32
}

impl Synthetic {
    /// All that a process's first samples bring.
    fn begin(&mut self, process: u64) {
        for function in 0..FUNCTIONS {
            self.code(process, function);
        }
        for thread in 0..THREADS {
            let record = Thread {
                kind: kind::THREAD,
                pid: pid(process),
                tid: tid(process, thread),
                generation: generation(process),
                ident: 0x7f00_0000_0000 + thread * 0x80_0000,
                comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
                ..Thread::new_zeroed()
            };
            self.writer.record(record.as_bytes());
            for stack in 0..STACKS {
                let depth = DEPTH.0 + self.random.below(DEPTH.1);
                self.stack(process, thread, stack, depth);
            }
        }
    }

    fn code(&mut self, process: u64, function: u64) {
        let name = format!("Worker{}.method_{function}", function % 20);
        // Processes run the same program.
        let file = format!(
            "/srv/app/package_{}/module_{}.py",
            function % 7,
            function % 50
        );
        let table = self.line_table();
        let record = Code {
            kind: kind::CODE,
            pid: pid(process),
            generation: generation(process),
            key: key(process, function),
            address: 0x7f10_0000_0000 + function * 0x100,
            first_line: 10 * function as i32,
            name_kind: 1,
            file_kind: 1,
            name_bytes: name.len() as u32,
            file_bytes: file.len() as u32,
            table_bytes: table.len() as u32,
            name_sent: name.len() as u32,
            file_sent: file.len() as u32,
            table_sent: table.len() as u32,
            ..Code::new_zeroed()
        };
        let bytes = [record.as_bytes(), name.as_bytes(), file.as_bytes(), &table].concat();
        self.writer.record(&bytes);
    }

    /// A location table (Objects/locations.md of CPython 3.12): 40 entries of 8 code units, each of the form without
    /// columns (13), with a line more than the one before.
    fn line_table(&mut self) -> Vec<u8> {
        let entries = 40;
        let form = 0x80 | 13 << 3 | 7;
        // A signed number is twice its amount, and 1 more where it is negative.
        (0..entries)
            .flat_map(|_| [form, 2 * (self.random.below(3) as u8)])
            .collect()
    }

    /// A stack: from the module on, each frame is one of the three functions that the one before it calls.
    fn stack(&mut self, process: u64, thread: u64, number: u64, depth: u64) {
        let mut function = thread;
        let mut frames = Vec::new();
        for _ in 0..depth {
            frames.push(StackFrame {
                key: key(process, function),
                address: 0x7f10_0000_0000 + function * 0x100,
                instruction: 2 * self.random.below(300) as i32,
                interpreter: 0,
            });
            function = (function * 3 + self.random.below(3) + 1) % FUNCTIONS;
        }
        frames.reverse();
        let record = Stack {
            kind: kind::STACK,
            pid: pid(process),
            generation: generation(process),
            id: stack_id(process, thread, number),
            depth: depth as u32,
            leaf_frames: depth as u32,
            ..Stack::new_zeroed()
        };
        let bytes = [record.as_bytes(), frames.as_bytes()].concat();
        self.writer.record(&bytes);
    }

    /// A sample: of each thread in turn, so that each is met with all its stacks early; of few stacks most.
    fn sample(&mut self) {
        let of = self.samples % (PROCESSES * THREADS);
        let (process, thread) = (of / THREADS, of % THREADS);
        let round = self.samples / (PROCESSES * THREADS);
        let stack = if round < STACKS {
            round
        } else {
            let below = self.random.below(STACKS) + 1;
            self.random.below(below)
        };
        self.samples += 1;
        self.now += PERIOD_NS / 2;
        let runtime = &mut self.runtimes[of as usize];
        *runtime += PERIOD_NS;
        let ticks = *runtime / PERIOD_NS / TICK;
        let record = Sample {
            kind: kind::SAMPLE,
            cpu: (of % 2) as u16,
            periods: 1,
            time: self.now,
            generation: generation(process),
            stack: stack_id(process, thread, stack),
            pid: pid(process),
            tid: tid(process, thread),
            runtime: ticks * TICK * PERIOD_NS,
            ..Sample::new_zeroed()
        };
        self.writer.record(record.as_bytes());
    }

    /// A child of the first process, from its fork to what it used in all.
    fn child(&mut self, round: u64) {
        let child = PROCESSES + round;
        let fork = Fork {
            kind: kind::FORK,
            pid: pid(child),
            parent_pid: pid(0),
            parent: generation(0),
            generation: generation(child),
            ..Fork::new_zeroed()
        };
        self.writer.record(fork.as_bytes());
        self.code(child, 0);
        self.stack(child, 0, 0, 1);
        let sample = Sample {
            kind: kind::SAMPLE,
            periods: 1,
            time: self.now,
            generation: generation(child),
            stack: stack_id(child, 0, 0),
            pid: pid(child),
            tid: pid(child),
            runtime: PERIOD_NS,
            ..Sample::new_zeroed()
        };
        self.writer.record(sample.as_bytes());
        let cpu = 2 * PERIOD_NS;
        let exit = Lifecycle {
            kind: kind::EXIT,
            last: 1,
            pid: pid(child),
            tid: pid(child),
            time: self.now,
            generation: generation(child),
            cpu,
            taken: 1,
            outcomes: [1, 0, 0, 0, 0, 0, 0, 0],
            ..Lifecycle::new_zeroed()
        };
        self.writer.record(exit.as_bytes());
        let last = Final {
            kind: kind::FINAL,
            padding: 0,
            tid: pid(child),
            generation: generation(child),
            cpu,
        };
        self.writer.record(last.as_bytes());
    }
}

fn key(process: u64, function: u64) -> u64 {
    mixed(1 << 40 | process << 20 | function)
}

fn stack_id(process: u64, thread: u64, number: u64) -> u64 {
    mixed(2 << 40 | process << 20 | thread << 10 | number)
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"): its output function.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0) % limit
    }
}
