//! A recording from begin to end: wires host, interpreters, kernel side and symbols together.

pub mod collector;
pub mod command;
pub mod discovery;
mod finish;
mod names;
mod wait;
mod weigh;

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use profiler_common::{
    cpython::layout::Layout,
    outcome::OUTCOME_COUNT,
    process::{FOLLOW_CHILDREN, Process as KernelProcess, STALE},
};

use self::{
    collector::{Collector, Counters, Notice, Tracked},
    command::Launched,
    discovery::{Discovery, Scope},
    names::Names,
};
use crate::{
    host::{self, process::Description},
    interpreter::{Found, Interpreter},
    kernel::{self, Clock, Kernel, KernelError},
    profile::model::Profile,
};

/// How long the ring buffers are left to themselves: the kernel side wakes us before one is full.
const LOOK: Duration = Duration::from_millis(100);

/// What to record.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which processes.
    pub scope: Scope,
    /// For how long; None: until told to stop or until all targets have ended.
    pub duration: Option<Duration>,
    /// Samples per second and CPU.
    pub rate_hz: u64,
    /// What the sampling event counts.
    pub clock: Clock,
    /// Bytes of each ring buffer.
    pub ring_bytes: u32,
    /// Whether the kernel is to count what the programs cost.
    pub count_run_time: bool,
    /// Whether Python's own names of threads are wanted.
    pub thread_names: bool,
    /// The command line as typed.
    pub command_line: String,
}

/// What is known while recording, for a person to see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Since sampling began.
    pub elapsed: Duration,
    /// Samples that arrived.
    pub samples: u64,
    /// Processes under profile so far.
    pub processes: usize,
    /// Samples lost so far.
    pub lost: u64,
}

/// Why a recording could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel side.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The command could not be launched.
    #[error("cannot run {program}: {error}")]
    Launch {
        /// What was to be run.
        program: String,
        /// What the system says.
        error: io::Error,
    },
}

/// A recording under way.
pub struct Recording {
    options: Options,
    kernel: Kernel,
    discovery: Discovery,
    collector: Collector,
    layouts: HashMap<Layout, u32>,
    launched: Option<Launched>,
    started: SystemTime,
    sampling_since: Instant,
    names: Names,
}

/// What a recording amounts to.
pub struct Recorded {
    /// The profile.
    pub profile: Profile,
    /// The command that was launched, still to be waited for.
    pub launched: Option<Launched>,
}

impl Recording {
    /// Loads the kernel side, begins to sample, and launches the command, if there is one: after the kernel
    /// side, so that nothing of it is missed.
    ///
    /// # Errors
    /// Where the kernel refuses, or the command cannot be launched.
    pub fn begin(mut options: Options, command: &[OsString]) -> Result<Self, Error> {
        let mut kernel = Kernel::load(kernel::Options {
            clock: options.clock,
            rate_hz: options.rate_hz,
            ring_bytes: options.ring_bytes,
            every_exec: !matches!(
                options.scope,
                Scope::These {
                    children: false,
                    ..
                }
            ) || !command.is_empty(),
            count_run_time: options.count_run_time,
        })?;
        kernel.follow_processes()?;
        kernel.sample()?;
        let mut launched = None;
        if !command.is_empty() {
            let running = Launched::launch(command).map_err(|error| Error::Launch {
                program: command[0].to_string_lossy().into_owned(),
                error,
            })?;
            options.scope.add(running.pid());
            launched = Some(running);
        }
        Ok(Self {
            discovery: Discovery::new(options.scope.clone()),
            collector: Collector::new(kernel::period_ns(options.rate_hz)),
            layouts: HashMap::new(),
            launched,
            started: SystemTime::now(),
            sampling_since: Instant::now(),
            names: Names::default(),
            kernel,
            options,
        })
    }

    /// Looks for Python among the processes that run, so that sampling has its targets.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn discover(&mut self) -> Result<(), KernelError> {
        let mut found = Vec::new();
        self.discovery
            .run(|pid, what, was| found.push((pid, what, was)));
        for (pid, what, was) in found {
            let description = was.unwrap_or_else(|| host::process::describe(pid));
            self.settle(pid, what, description)?;
        }
        Ok(())
    }

    /// How many instructions the verifier followed, by program.
    #[must_use]
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        self.kernel.verified_instructions()
    }

    /// Processes that could not be profiled so far: id and reason.
    #[must_use]
    pub fn refused(&self) -> Vec<(u32, &str)> {
        let processes = self.collector.processes.iter();
        processes
            .filter_map(|process| Some((process.pid, process.refused.as_deref()?)))
            .collect()
    }

    /// Processes under profile so far.
    #[must_use]
    pub fn profiled(&self) -> usize {
        self.collector
            .processes
            .iter()
            .filter(|process| process.refused.is_none())
            .count()
    }

    /// Whether nothing is under profile and nothing that was asked for can still become Python.
    #[must_use]
    pub fn has_nothing_to_wait_for(&self) -> bool {
        self.profiled() == 0 && self.options.scope != Scope::All && !self.discovery.has_pending()
    }

    /// Records until the time is up, `stop` is set, or nothing is left to profile; shows progress several
    /// times a second.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn run(
        &mut self,
        stop: &Arc<AtomicBool>,
        mut progress: impl FnMut(&Self),
    ) -> Result<(), KernelError> {
        self.sampling_since = Instant::now();
        let descriptors = self.kernel.descriptors();
        loop {
            let elapsed = self.sampling_since.elapsed();
            let rest = self
                .options
                .duration
                .map(|duration| duration.saturating_sub(elapsed));
            if stop.load(Ordering::Relaxed) || rest == Some(Duration::ZERO) || self.is_over() {
                return Ok(());
            }
            let timeout = LOOK.min(self.discovery.wait()).min(rest.unwrap_or(LOOK));
            wait::for_input(&descriptors, timeout);
            self.drain();
            self.discover()?;
            progress(self);
        }
    }

    /// How far the recording has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let lost = self
            .kernel
            .processes()
            .iter()
            .map(|(_, process)| process.outcomes[1..OUTCOME_COUNT].iter().sum::<u64>())
            .sum();
        Progress {
            elapsed: self.sampling_since.elapsed(),
            samples: self.collector.samples,
            processes: self.profiled(),
            lost,
        }
    }

    /// Whether there is nothing left to wait for.
    fn is_over(&mut self) -> bool {
        if let Some(launched) = &mut self.launched
            && launched.is_running()
        {
            return false;
        }
        match &self.options.scope {
            Scope::All => false,
            Scope::These { pids, .. } => {
                pids.iter().all(|&pid| !host::process::exists(pid))
                    && self.collector.processes.iter().all(|process| {
                        process.refused.is_some()
                            || self.collector.has_ended(process.generation)
                            || !host::process::exists(process.pid)
                    })
            }
        }
    }

    /// Takes in what has arrived.
    fn drain(&mut self) {
        let (collector, discovery) = (&mut self.collector, &mut self.discovery);
        let mut before = collector.processes.len();
        self.kernel.drain(|record| {
            match collector.take(record) {
                Some(Notice::Exec { pid, cpu }) => discovery.execed(pid, cpu),
                Some(Notice::Ended(pid)) => discovery.ended(pid),
                Some(Notice::Stranger(pid, time)) => discovery.met(pid, time),
                Some(Notice::Stateless(pid)) => discovery.doubt(pid),
                None => {}
            }
            for forked in &collector.processes[before..] {
                discovery.forked(forked.pid);
            }
            before = collector.processes.len();
        });
        self.collector.tidy(false);
        if self.options.thread_names {
            self.names.ask(&mut self.collector);
        }
    }

    /// Acts on what was found of a process.
    fn settle(
        &mut self,
        pid: u32,
        found: Found,
        description: Description,
    ) -> Result<(), KernelError> {
        let mut tracked = Tracked {
            pid,
            generation: 0,
            description,
            interpreter: None,
            refused_interpreter: (None, None),
            refused: None,
            cpu_begin: 0,
            cpu_end: None,
            counters: None,
        };
        match found {
            Found::Python(interpreter) => {
                if let Some(process) = self.kernel.process(pid)
                    && process.flags & STALE == 0
                {
                    // Registered already, by its parent's fork or by an earlier look.
                    let registered = self
                        .collector
                        .tracked(process.generation)
                        .and_then(|tracked| tracked.interpreter.clone());
                    if !registered
                        .as_ref()
                        .is_some_and(|registered| is_used_instead(pid, registered, &interpreter))
                    {
                        if let Some(registered) = registered {
                            self.note_others(pid, &registered, &interpreter, &tracked.description);
                        }
                        return Ok(());
                    }
                    self.replace(pid, &process);
                }
                self.note_others(pid, &interpreter, &interpreter, &tracked.description);
                match self.layout(&interpreter.layout)? {
                    Some(layout) => {
                        tracked.generation = monotonic_ns();
                        let at_exec = self.discovery.cpu_at_exec(pid);
                        for (tid, now) in host::process::cpu_by_thread(pid) {
                            let begin = match at_exec {
                                Some(cpu) if tid == pid => cpu.min(now),
                                // It began after the exec, which no other thread survives.
                                Some(_) => 0,
                                None => now,
                            };
                            tracked.cpu_begin += begin;
                            self.collector.begin((tracked.generation, tid), begin, now);
                        }
                        let process = kernel_process(
                            &interpreter,
                            layout,
                            tracked.generation,
                            &self.options.scope,
                        );
                        if self.kernel.register(pid, &process).is_err() {
                            tracked.generation = 0;
                            tracked.refused = Some("the map of processes is full".into());
                        }
                        tracked.interpreter = Some(Arc::new(interpreter));
                    }
                    None => {
                        tracked.refused =
                            Some("too many different interpreters on this host".into())
                    }
                }
            }
            Found::Refused {
                version,
                interpreter,
                reason,
            } => {
                tracked.refused_interpreter = (version, interpreter);
                tracked.refused = Some(reason);
            }
            Found::Unreadable(reason) => {
                tracked.refused = Some(format!("its memory map cannot be read: {reason}"));
            }
            Found::NotPython | Found::Starting | Found::Gone => return Ok(()),
        }
        self.collector.track(tracked);
        Ok(())
    }

    /// Ends the registration of a process that goes on under another.
    fn replace(&mut self, pid: u32, process: &KernelProcess) {
        self.kernel.forget(pid);
        let threads = host::process::cpu_by_thread(pid);
        self.collector
            .replace(process.generation, Counters::from(process), &threads);
    }

    /// Lists what else of Python runs in a process, beside the interpreter that is profiled.
    fn note_others(
        &mut self,
        pid: u32,
        profiled: &Interpreter,
        found: &Interpreter,
        description: &Description,
    ) {
        let found_too = [(found.version, found.path.clone(), found.interpreters)];
        for (version, path, interpreters) in found_too.iter().chain(&found.beside) {
            if *interpreters == profiled.interpreters {
                continue;
            }
            let other = (Some(version.to_string()), Some(path.clone()));
            let is_listed = self.collector.processes.iter().any(|process| {
                process.pid == pid
                    && process.refused.is_some()
                    && process.refused_interpreter == other
            });
            if !is_listed {
                self.collector.track(Tracked {
                    pid,
                    generation: 0,
                    description: description.clone(),
                    interpreter: None,
                    refused_interpreter: other,
                    refused: Some(format!(
                        "the process runs two interpreters, and the other one is profiled: {}",
                        profiled.path
                    )),
                    cpu_begin: 0,
                    cpu_end: None,
                    counters: None,
                });
            }
        }
    }

    fn layout(&mut self, layout: &Layout) -> Result<Option<u32>, KernelError> {
        if let Some(&index) = self.layouts.get(layout) {
            return Ok(Some(index));
        }
        let index = self.kernel.add_layout(layout)?;
        if let Some(index) = index {
            self.layouts.insert(*layout, index);
        }
        Ok(index)
    }

    /// Stops sampling and puts the profile together.
    ///
    /// # Errors
    /// Where the programs cannot be stopped.
    pub fn finish(mut self) -> Result<Recorded, KernelError> {
        let duration = self.sampling_since.elapsed();
        let run_time = self.kernel.run_time();
        self.kernel.stop()?;
        let mut runtimes = HashMap::new();
        for process in &mut self.collector.processes {
            let threads = host::process::cpu_by_thread(process.pid);
            if !threads.is_empty() {
                process.cpu_end = Some(threads.iter().map(|&(_, ns)| ns).sum());
            }
            runtimes.extend(
                threads
                    .into_iter()
                    .map(|(tid, ns)| ((process.generation, tid), ns)),
            );
        }
        self.drain();
        for thread in self.collector.scale.threads() {
            self.collector
                .settle(thread, runtimes.get(&thread).copied());
        }
        self.collector.tidy(true);
        if self.options.thread_names {
            Names::ask_all(&mut self.collector);
        }
        let in_kernel: HashMap<u64, Counters> = self
            .kernel
            .processes()
            .iter()
            .map(|(_, process)| (process.generation, Counters::from(process)))
            .collect();
        for process in &mut self.collector.processes {
            process.counters = in_kernel.get(&process.generation).copied();
        }
        let about = finish::About {
            options: &self.options,
            started: self.started,
            duration,
            cpus: self.kernel.cpus(),
            bpf: run_time.map(|run_time| run_time.time),
        };
        Ok(Recorded {
            profile: finish::profile(&self.collector, &about),
            launched: self.launched,
        })
    }
}

/// Whether a process that is registered with one interpreter runs another, and not that one.
fn is_used_instead(pid: u32, registered: &Interpreter, other: &Interpreter) -> bool {
    registered.interpreters != other.interpreters && !registered.runs_in(pid) && other.runs_in(pid)
}

/// The map's value for a process.
fn kernel_process(
    interpreter: &Interpreter,
    layout: u32,
    generation: u64,
    scope: &Scope,
) -> KernelProcess {
    KernelProcess {
        generation,
        interpreters: interpreter.interpreters,
        current_thread: interpreter.current_thread,
        code_type: interpreter.code_type,
        layout,
        flags: if scope.follows_children() {
            FOLLOW_CHILDREN
        } else {
            0
        },
        taken: 0,
        outcomes: [0; 8],
    }
}

/// The clock that tells registrations apart, in ns: the kernel side takes it too.
fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is valid for writes; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
