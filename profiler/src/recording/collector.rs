//! Takes in the records of the kernel side and keeps count, process by process.

use std::{collections::HashMap, sync::Arc};

use profiler_common::{
    outcome::Outcome,
    process::Process as KernelProcess,
    record::{Lifecycle, Sample, Stack, StackFrame, Thread, mark},
};

use crate::{
    host::process::Description,
    interpreter::process::Interpreter,
    kernel::event::{self, Event},
    symbols::{live, store::Store},
};

/// A process that is or was under profile, or could not be.
#[derive(Debug)]
pub struct Tracked {
    /// Process id on the host.
    pub pid: u32,
    /// The registration, 0 where it was refused.
    pub generation: u64,
    /// What /proc told.
    pub description: Description,
    /// Its interpreter; None where it was refused.
    pub interpreter: Option<Arc<Interpreter>>,
    /// What is known of a refused interpreter: version and path.
    pub refused_interpreter: (Option<String>, Option<String>),
    /// Why it could not be profiled.
    pub refused: Option<String>,
    /// CPU time when it came under profile (ns).
    pub cpu_begin: u64,
    /// CPU time of its living threads when recording ended (ns).
    pub cpu_end: Option<u64>,
    /// Its counters in the kernel when recording ended, where it still ran.
    pub counters: Option<Counters>,
    /// Python's names of its threads, by ident.
    pub thread_names: HashMap<u64, String>,
}

/// A process's counters on the kernel side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// How often the sampling program fired.
    pub taken: u64,
    /// How it ended, by outcome.
    pub outcomes: [u64; 8],
}

impl From<&KernelProcess> for Counters {
    fn from(process: &KernelProcess) -> Self {
        Self {
            taken: process.taken,
            outcomes: process.outcomes,
        }
    }
}

/// What happened under one registration. Kept apart from [`Tracked`], since ring buffers are read one
/// after the other: a child's samples may arrive before the news of its fork.
#[derive(Debug, Default)]
pub struct Activity {
    /// Samples that arrived and whose stack is known.
    pub delivered: u64,
    /// Of these, how many had their stack cut.
    pub truncated: u64,
    /// Samples that arrived and whose stack is not known.
    pub unknown_stack: u64,
    /// CPU time of threads that ended (ns).
    pub cpu_exited: u64,
    /// Set when the process ended or execed: CPU time of what remained (ns).
    pub ended: Option<u64>,
    /// The counters, where the kernel side sent them at the end.
    pub counters: Option<Counters>,
}

/// A thread that has been seen.
#[derive(Clone, Debug)]
pub struct SeenThread {
    /// Python's ident of it.
    pub ident: u64,
    /// The kernel's name of it.
    pub comm: String,
}

/// What the rest of the recording has to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A process executes another program.
    Exec(u32),
}

/// Samples with the same registration, thread and stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The time they stand for (ns).
    pub weight_ns: u64,
}

/// All that has arrived.
#[derive(Debug, Default)]
pub struct Collector {
    /// Code objects and stacks.
    pub store: Store,
    /// Processes, in the order they came.
    pub processes: Vec<Tracked>,
    /// By registration.
    pub activity: HashMap<u64, Activity>,
    /// By registration and thread id.
    pub threads: HashMap<(u64, u32), SeenThread>,
    /// By registration, thread id and stack.
    pub tallies: HashMap<(u64, u32, u64), Tally>,
    /// Records that could not be read.
    pub malformed: u64,
    by_generation: HashMap<u64, usize>,
    /// Samples so far.
    pub samples: u64,
}

impl Collector {
    /// Adds a process.
    pub fn track(&mut self, process: Tracked) {
        if process.generation != 0 {
            self.by_generation
                .insert(process.generation, self.processes.len());
        }
        self.processes.push(process);
    }

    /// The interpreter under a registration.
    fn tracked(&self, generation: u64) -> Option<&Tracked> {
        self.processes.get(*self.by_generation.get(&generation)?)
    }

    /// Takes in one record.
    pub fn take(&mut self, record: &[u8]) -> Option<Notice> {
        match event::parse(record) {
            Ok(Event::Sample(sample)) => self.sample(&sample),
            Ok(Event::Stack(stack, frames)) => self.stack(&stack, frames),
            Ok(Event::Code(code, sections)) => self.store.add_code(&code, sections),
            Ok(Event::Piece(piece, bytes)) => self.store.add_piece(&piece, bytes),
            Ok(Event::Thread(thread)) => self.thread(&thread),
            Ok(Event::Fork(fork)) => self.fork(&fork),
            Ok(Event::Exit(exit)) => self.exit(&exit),
            Ok(Event::Exec(exec)) => {
                if exec.generation != 0 {
                    self.end(&exec);
                }
                return Some(Notice::Exec(exec.pid));
            }
            Err(event::Malformed) => self.malformed += 1,
        }
        None
    }

    fn sample(&mut self, sample: &Sample) {
        self.samples += 1;
        let activity = self.activity.entry(sample.generation).or_default();
        let Some(stack) = self.store.stack(sample.stack) else {
            activity.unknown_stack += 1;
            return;
        };
        activity.delivered += 1;
        if stack.marks & (mark::CUT | mark::ROOT_LOST | mark::UNREADABLE) != 0 {
            activity.truncated += 1;
        }
        let tally = self
            .tallies
            .entry((sample.generation, sample.tid, sample.stack))
            .or_default();
        tally.count += 1;
        tally.weight_ns += sample.weight;
    }

    fn stack(&mut self, stack: &Stack, frames: &[StackFrame]) {
        self.store.add_stack(
            stack.id,
            stack.marks,
            stack.depth,
            stack.leaf_frames as usize,
            frames,
        );
        // What the kernel side could not read, because a page was not present or a ring buffer full, is
        // read now, while the process lives.
        if frames.iter().all(|frame| self.store.is_complete(frame.key)) {
            return;
        }
        let Some(interpreter) = self
            .tracked(stack.generation)
            .and_then(|process| process.interpreter.clone())
        else {
            return;
        };
        for frame in frames {
            if !self.store.is_complete(frame.key)
                && let Some(object) = live::read_code(
                    stack.pid,
                    stack.generation,
                    &interpreter,
                    frame,
                    &mut self.store,
                )
            {
                self.store.fill(frame.key, object);
            }
        }
    }

    fn thread(&mut self, thread: &Thread) {
        let end = thread
            .comm
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(thread.comm.len());
        let comm = String::from_utf8_lossy(&thread.comm[..end]).into_owned();
        self.threads.insert(
            (thread.generation, thread.tid),
            SeenThread {
                ident: thread.ident,
                comm,
            },
        );
    }

    fn fork(&mut self, fork: &Lifecycle) {
        // The newest registration of the parent: it is alive, or was a moment ago.
        let parent = self
            .processes
            .iter()
            .rev()
            .find(|process| process.pid == fork.tid);
        let Some((interpreter, mut description)) =
            parent.map(|parent| (parent.interpreter.clone(), parent.description.clone()))
        else {
            return;
        };
        description.ppid = fork.tid;
        self.track(Tracked {
            pid: fork.pid,
            generation: fork.generation,
            description,
            interpreter,
            refused_interpreter: (None, None),
            refused: None,
            cpu_begin: 0,
            cpu_end: None,
            counters: None,
            thread_names: HashMap::new(),
        });
    }

    fn exit(&mut self, exit: &Lifecycle) {
        if exit.last == 1 {
            self.end(exit);
        } else {
            self.activity.entry(exit.generation).or_default().cpu_exited += exit.cpu;
        }
    }

    fn end(&mut self, record: &Lifecycle) {
        let activity = self.activity.entry(record.generation).or_default();
        activity.ended = Some(record.cpu);
        activity.counters = Some(Counters {
            taken: record.taken,
            outcomes: record.outcomes,
        });
    }

    /// Samples that the kernel side lost, as far as user space knows while recording.
    #[must_use]
    pub fn has_ended(&self, generation: u64) -> bool {
        self.activity
            .get(&generation)
            .is_some_and(|activity| activity.ended.is_some())
    }

    /// The ledger of a registration.
    #[must_use]
    pub fn ledger(&self, process: &Tracked) -> crate::profile::ledger::Ledger {
        let mut ledger = crate::profile::ledger::Ledger::default();
        let activity = self.activity.get(&process.generation);
        if let Some(activity) = activity {
            ledger.delivered = activity.delivered;
            ledger.truncated = activity.truncated;
            ledger.lose(Outcome::UnknownStack, activity.unknown_stack);
        }
        let counters = activity
            .and_then(|activity| activity.counters)
            .or(process.counters)
            .unwrap_or_default();
        ledger.taken = counters.taken;
        for &outcome in Outcome::ALL {
            if outcome != Outcome::Delivered {
                ledger.lose(outcome, counters.outcomes[outcome as usize & 7]);
            }
        }
        ledger
    }

    /// CPU time of a process while it was under profile (ns).
    #[must_use]
    pub fn cpu_ns(&self, process: &Tracked) -> Option<u64> {
        let activity = self.activity.get(&process.generation);
        let exited = activity.map_or(0, |activity| activity.cpu_exited);
        let rest = activity
            .and_then(|activity| activity.ended)
            .or(process.cpu_end)?;
        Some((rest + exited).saturating_sub(process.cpu_begin))
    }
}
