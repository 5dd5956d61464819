//! Takes in the records of the kernel side and keeps count, process by process.

use std::sync::Arc;

use foldhash::{HashMap, HashSet};

use profiler_common::{
    cpython::walk::Walk,
    record::{Cgroup, Fork, Sample, Stack, StackFrame, Thread, mark},
};

use super::{
    bound::Bound,
    ends::End,
    owed::Tallies,
    past::Past,
    tracked::{Activity, Notice, SeenThread, Tracked},
    weigh::{Met, Scale, ThreadKey},
};
use crate::{
    host::{process::cpu_by_thread, status::Status},
    interpreter::process::Interpreter,
    kernel::event::{self, Event},
    symbols::{live, stack::RawStack, store::Store},
};

/// A process that has used no more CPU time than this has done nothing yet but to start (ns).
pub const YOUNG_NS: u64 = 50_000_000;

/// How many stacks wait at most for the news of a fork.
const UNREAD: usize = 1024;

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
    pub tallies: Tallies,
    /// CPU time of threads that are over whose samples were lost (ns).
    pub(super) owed: HashMap<ThreadKey, u64>,
    /// Registrations that have ended.
    pub past: Past,
    /// What may be kept.
    pub bound: Bound,
    /// Turns samples into time.
    pub scale: Scale,
    /// The sampling period (ns).
    pub period_ns: u64,
    /// Cgroups that were made, with their paths, until somebody takes them.
    pub cgroups: Vec<(Cgroup, Vec<u8>)>,
    /// Processes that were forked, until somebody takes them: registrations of parent and child.
    pub forks: Vec<(u64, u64)>,
    /// Records that could not be read.
    pub malformed: u64,
    by_generation: HashMap<u64, usize>,
    /// So many processes have been folded into others, until somebody takes note.
    pub folded: usize,
    /// How many of the processes are or were under profile.
    pub profiled: usize,
    /// The interpreters met: processes that run the same at the same addresses, such as forks, share one.
    interpreters: HashSet<Arc<Interpreter>>,
    /// Why a process that found no room is not under profile.
    full: String,
    /// Such processes, by id.
    without_room: HashSet<u32>,
    /// News of ends that wait, in their order.
    pub(super) ends: Vec<End>,
    /// Stacks with code objects that are not known, of processes whose fork has not been read yet.
    pub(super) unread: Vec<(Stack, Vec<StackFrame>)>,
    /// Samples so far.
    pub samples: u64,
}

impl Collector {
    /// Nothing has arrived yet; samples are taken each `period_ns`. `full` is said of those for which the map of
    /// processes has no room.
    #[must_use]
    pub fn new(period_ns: u64, full: String) -> Self {
        Self {
            period_ns,
            full,
            ..Self::default()
        }
    }

    /// Adds a process for which the map of processes has no room. The news of its fork, and a look at it, may both
    /// tell of that: it is added once.
    pub fn track_without_room(&mut self, process: Tracked) {
        if self.without_room.insert(process.pid) {
            self.track(Tracked {
                generation: 0,
                refused: Some(self.full.clone()),
                ..process
            });
        }
    }

    /// Adds a process.
    pub fn track(&mut self, process: Tracked) {
        if process.refused.is_none() {
            self.profiled += 1;
        }
        if process.generation != 0 {
            self.by_generation
                .insert(process.generation, self.processes.len());
        }
        self.processes.push(process);
    }

    /// Replaces the processes by some of them.
    pub(super) fn place(&mut self, processes: Vec<Tracked>) {
        self.by_generation = processes
            .iter()
            .enumerate()
            .filter(|(_, process)| process.generation != 0)
            .map(|(index, process)| (process.generation, index))
            .collect();
        self.processes = processes;
    }

    /// Forgets the processes under other registrations than these.
    pub fn keep(&mut self, generations: &HashSet<u64>) {
        let all = std::mem::take(&mut self.processes);
        self.by_generation.clear();
        self.profiled = 0;
        for process in all {
            if generations.contains(&process.generation) {
                self.track(process);
            }
        }
    }

    /// An interpreter, as others may have it too.
    pub fn interpreter(&mut self, interpreter: Interpreter) -> Arc<Interpreter> {
        if let Some(known) = self.interpreters.get(&interpreter) {
            return Arc::clone(known);
        }
        let new = Arc::new(interpreter);
        self.interpreters.insert(Arc::clone(&new));
        new
    }

    /// Sampling has begun: what the processes used before is no part of the recording.
    pub fn begin_again(&mut self) {
        for process in &mut self.processes {
            if process.refused.is_some() {
                continue;
            }
            for (tid, ns) in cpu_by_thread(process.pid) {
                // The share of a thread that has ended meanwhile stays: its end is reported with all it used.
                let before = self.scale.begin((process.generation, tid), ns);
                process.cpu_begin += ns.saturating_sub(before);
            }
        }
    }

    /// The process under a registration.
    #[must_use]
    pub fn tracked(&self, generation: u64) -> Option<&Tracked> {
        self.processes.get(*self.by_generation.get(&generation)?)
    }

    /// Takes in one record.
    pub fn take(&mut self, record: &[u8]) -> Option<Notice> {
        match event::parse(record) {
            Ok(Event::Sample(sample)) => return self.sample(&sample),
            Ok(Event::Stack(stack, frames)) => self.stack(&stack, frames),
            Ok(Event::Code(code, sections)) => self.store.add_code(&code, sections),
            Ok(Event::Piece(piece, bytes)) => self.store.add_piece(&piece, bytes),
            Ok(Event::Thread(thread)) => self.thread(&thread),
            Ok(Event::Fork(fork)) => self.fork(&fork),
            Ok(Event::Exit(exit)) => {
                self.ends.push(End::Exit(exit));
                return (exit.last == 1).then_some(Notice::Ended(exit.pid, exit.time));
            }
            Ok(Event::Exec(exec)) => {
                if exec.generation != 0 {
                    self.ends.push(End::Exec(exec));
                }
                // A child that was forked only to execute something else is not in the profile by itself: what
                // it took to come to the exec is the first that its program took.
                let is_brief = exec.taken == 0 && exec.cpu < YOUNG_NS;
                return Some(Notice::Exec {
                    pid: exec.pid,
                    cpu: if is_brief { 0 } else { exec.cpu },
                });
            }
            Ok(Event::Final(last)) => self.ends.push(End::Final(last)),
            Ok(Event::Stranger(stranger)) => {
                return Some(Notice::Stranger(stranger.pid, stranger.time));
            }
            Ok(Event::Cgroup(cgroup, path)) => self.cgroups.push((cgroup, path.to_vec())),
            Err(event::Malformed) => self.malformed += 1,
        }
        None
    }

    fn sample(&mut self, sample: &Sample) -> Option<Notice> {
        self.samples += 1;
        let activity = self.activity.entry(sample.generation).or_default();
        let Some(stack) = self.store.meet(sample.stack, sample.time) else {
            activity.unknown_stack += 1;
            return None;
        };
        let stateless =
            stack.marks & (mark::NO_INTERPRETER | mark::NO_THREAD_STATE | mark::NO_FRAME) != 0;
        activity.delivered += 1;
        if stack.marks & (mark::CUT | mark::ROOT_LOST | mark::UNREADABLE) != 0 {
            activity.truncated += 1;
        }
        let tally = self
            .tallies
            .entry((sample.generation, sample.tid, sample.stack))
            .or_default();
        tally.count += 1;
        activity.periods += u64::from(sample.periods.max(1));
        let (thread, tallies) = ((sample.generation, sample.tid), &mut self.tallies);
        let met = Met {
            stack: sample.stack,
            periods: sample.periods.into(),
            runtime: sample.runtime,
            left_out: sample.left_out,
        };
        self.scale.sample(thread, met, self.period_ns, |stack, ns| {
            add_weight(tallies, thread, stack, ns);
        });
        stateless.then_some(Notice::Stateless(sample.pid))
    }

    /// Begins the account of a thread: it has used `now` ns, of which all after `begin` belong to the start of
    /// its interpreter.
    pub fn begin(&mut self, thread: ThreadKey, begin: u64, now: u64) {
        self.scale.begin(thread, now);
        self.weigh_mark(thread, mark::NO_INTERPRETER, now.saturating_sub(begin));
    }

    /// Gives time without a sample to a stack that is nothing but a mark.
    pub(super) fn weigh_mark(&mut self, thread: ThreadKey, mark: u32, ns: u64) {
        if ns == 0 {
            return;
        }
        // The very stack that the kernel side sends where a sample finds no more than the mark.
        let id = Walk::without_frames(mark, thread.0).id();
        if self.store.stack(id).is_none() {
            self.store.keep(id, RawStack::marked(thread.0, mark), 0);
        }
        add_weight(&mut self.tallies, thread, id, ns);
    }

    fn stack(&mut self, stack: &Stack, frames: &[StackFrame]) {
        if self.store.add_stack(stack, frames) {
            return;
        }
        if self.tracked(stack.generation).is_some() {
            self.read_live(stack, frames);
        } else if self.unread.len() < UNREAD {
            self.unread.push((*stack, frames.to_vec()));
        }
    }

    /// Reads code objects that the kernel side could not read, because a page was not present or a ring buffer full,
    /// while their process lives.
    pub(super) fn read_live(&mut self, stack: &Stack, frames: &[StackFrame]) {
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
        let key = (thread.generation, thread.tid);
        let known = self
            .threads
            .remove(&key)
            .filter(|known| known.ident == thread.ident);
        let name = known.and_then(|known| known.name);
        self.threads.insert(
            key,
            SeenThread {
                ident: thread.ident,
                comm,
                name,
            },
        );
    }

    fn fork(&mut self, fork: &Fork) {
        let Some(parent) = self.tracked(fork.parent) else {
            return;
        };
        let container_pid = parent
            .container_pid
            .and_then(|_| Status::of(fork.pid).container_pid);
        let child = Tracked {
            generation: fork.generation,
            container_pid,
            interpreter: parent.interpreter.clone(),
            ..Tracked::new(fork.pid, fork.parent_pid, Arc::clone(&parent.description))
        };
        if fork.generation == 0 {
            self.track_without_room(child);
        } else {
            self.forks.push((fork.parent, fork.generation));
            self.track(child);
        }
    }
}

pub(super) fn add_weight(tallies: &mut Tallies, (generation, tid): ThreadKey, stack: u64, ns: u64) {
    tallies
        .entry((generation, tid, stack))
        .or_default()
        .weight_ns += ns;
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
