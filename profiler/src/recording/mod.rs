//! A recording from begin to end: wires host, interpreters, kernel side and symbols together.

mod accounts;
pub mod budget;
pub mod collector;
pub mod command;
pub mod discovery;
mod finish;
mod names;
mod owed;
mod pace;
pub mod past;
mod register;
pub mod replay;
pub mod select;
pub mod selection;
pub mod stream;
pub mod tracked;
pub mod wait;
mod weigh;

use std::{
    ffi::OsString,
    io,
    time::{Duration, Instant, SystemTime},
};

use foldhash::HashMap;
use profiler_common::shared::event;

use self::{
    collector::Collector,
    command::Launched,
    discovery::{Discovery, Scope},
    names::Names,
    pace::Pace,
    select::Binding,
    selection::{Selection, term::Term},
    tracked::{Counters, Notice},
    wait::{Lives, Stop},
};
use crate::{
    host::{
        self,
        containers::{self, Containers},
        switches::Switches,
    },
    kernel::{self, Clock, Kernel, KernelError, registry::Registry},
    profile::{budget::Budget, model::Profile},
};

/// How long the ring buffers are left to themselves where something waits for what is in them, and where nothing
/// does: the kernel side wakes us before one is full, and at once for what cannot wait.
const LOOK: Duration = Duration::from_millis(100);
/// See [`LOOK`].
const IDLE: Duration = Duration::from_secs(1);
/// How long processes are looked at before the ring buffers are looked at again, which must not fill.
const SLICE: Duration = Duration::from_millis(20);
/// How long the end of a recording waits for names of containers that nobody has told yet.
const NAMES_PATIENCE: Duration = Duration::from_millis(300);

/// What to record.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which processes are looked at.
    pub scope: Scope,
    /// Which of them are wanted; empty: all.
    pub terms: Vec<Term>,
    /// Which are wanted wherever they run, where terms say where.
    pub named: Scope,
    /// For how long; None: until told to stop or until all targets have ended.
    pub duration: Option<Duration>,
    /// Samples per second and CPU.
    pub rate_hz: u64,
    /// What the profiler may spend itself: it samples more slowly where it must. None: what it takes.
    pub max_overhead: Option<Budget>,
    /// What the sampling event counts.
    pub clock: Clock,
    /// Bytes of each CPU's ring buffer; None: by the number of CPUs.
    pub ring_bytes: Option<u32>,
    /// Processes under profile at a time; None: as many as the host makes likely.
    pub max_processes: Option<u32>,
    /// Whether the kernel is to count what the programs cost.
    pub count_run_time: bool,
    /// Whether Python's own names of threads are wanted.
    pub thread_names: bool,
    /// The command line as typed.
    pub command_line: String,
}

impl Options {
    /// How it is recorded where nothing else is said.
    #[must_use]
    pub fn new(scope: Scope, rate_hz: u64) -> Self {
        Self {
            scope,
            terms: Vec::new(),
            named: Scope::All,
            duration: None,
            rate_hz,
            clock: Clock::default(),
            ring_bytes: None,
            max_processes: None,
            count_run_time: false,
            max_overhead: None,
            thread_names: false,
            command_line: String::new(),
        }
    }
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
    /// There is a budget, and no telling what the programs spend of it.
    #[error("--max-overhead: the kernel does not tell what eBPF programs cost")]
    Uncounted,
    /// What is wanted cannot be.
    #[error(transparent)]
    Selection(#[from] selection::Error),
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
    launched: Option<Launched>,
    started: SystemTime,
    sampling_since: Instant,
    names: Names,
    selection: Option<Selection>,
    /// How often the kernel side had lost news when the selection last looked for itself.
    news_lost: u64,
    containers: Containers,
    /// So many of the collector's processes have shown their containers.
    containers_met_of: usize,
    /// The processes with whose ends the recording may end.
    lives: Lives,
    /// Where the sampling clock runs.
    binding: Binding,
    /// Where the records go as well.
    stream: Option<stream::Writer>,
    /// Whether processes came under profile lately: more may come, and soon be gone.
    has_newcomers: bool,
    pace: Option<Pace>,
}

/// What a recording amounts to.
pub struct Recorded {
    /// The profile.
    pub profile: Profile,
    /// The command that was launched, still to be waited for.
    pub launched: Option<Launched>,
    /// What was wanted, where that was not everything.
    pub selection: Option<Selection>,
}

impl Recording {
    /// Loads the kernel side, begins to sample, and launches the command, if there is one: after the kernel
    /// side, so that nothing of it is missed.
    ///
    /// # Errors
    /// Where the kernel refuses, or the command cannot be launched.
    pub fn begin(mut options: Options, command: &[OsString]) -> Result<Self, Error> {
        let is_filtered = !options.terms.is_empty();
        let switches = is_filtered.then(Switches::now).flatten();
        let mut selection = select::selection(&options)?;
        let mut kernel = Kernel::load(kernel::Options {
            clock: options.clock,
            rate_hz: options.rate_hz,
            ring_bytes: options.ring_bytes,
            max_processes: options.max_processes,
            every_exec: !matches!(
                options.scope,
                Scope::These {
                    children: false,
                    ..
                }
            ) || !command.is_empty(),
            count_run_time: options.count_run_time || options.max_overhead.is_some(),
            paced: options.max_overhead.is_some(),
            filtered: selection.is_some(),
        })?;
        if options.max_overhead.is_some() && kernel.run_time().is_none() {
            return Err(Error::Uncounted);
        }
        let pace = Pace::new(&options, kernel.cpus());
        if let Some(selection) = &mut selection {
            select::begin(selection, &mut kernel)?;
        }
        let mut discovery = Discovery::new(options.scope.clone());
        let full = register::full(kernel.registry().capacity());
        let mut collector = Collector::new(kernel::period_ns(options.rate_hz), full);
        // While the verifier is at work, processes are looked at, the busiest first.
        let mut outcome = Ok(());
        let (mut binding, cgroup) = match &selection {
            // A command is wanted wherever it runs.
            Some(selection) if command.is_empty() => {
                let firings = (options.rate_hz, kernel.cpus());
                select::binding(selection, firings, switches.as_ref())
            }
            _ => (Binding::Everywhere, None),
        };
        let asked_ns = kernel::period_ns(options.rate_hz);
        let period_ns = pace.as_ref().map_or(asked_ns, Pace::period_ns);
        let refusal = kernel.sample(period_ns, cgroup.as_ref(), |registry| {
            let sight = (&options.scope, selection.as_mut());
            outcome = look(registry, &mut discovery, &mut collector, sight);
            outcome.is_ok() && discovery.is_behind()
        })?;
        if let Some(error) = refusal {
            binding = Binding::Refused(error);
        }
        outcome?;
        let (started, sampling_since) = (SystemTime::now(), Instant::now());
        collector.begin_again();
        let mut launched = None;
        if !command.is_empty() {
            let running = Launched::launch(command).map_err(|error| Error::Launch {
                program: command[0].to_string_lossy().into_owned(),
                error,
            })?;
            options.scope.add(running.pid());
            discovery.add(running.pid());
            if let Some(selection) = &mut selection {
                selection.name(running.pid());
                selection.hand_over(kernel.filter())?;
            }
            launched = Some(running);
        }
        Ok(Self {
            discovery,
            collector,
            launched,
            started,
            sampling_since,
            names: Names::default(),
            selection,
            news_lost: 0,
            containers: Containers::new(containers::endpoints()),
            containers_met_of: 0,
            lives: match &options.scope {
                Scope::All => Lives::default(),
                Scope::These { pids, .. } => Lives::of(pids),
            },
            stream: None,
            has_newcomers: true,
            binding,
            pace,
            kernel,
            options,
        })
    }

    /// Looks for Python among the processes that run, so that sampling has its targets.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn discover(&mut self) -> Result<(), KernelError> {
        loop {
            self.look()?;
            if !self.discovery.is_behind() {
                return Ok(());
            }
            self.drain()?;
        }
    }

    /// Looks at processes that are due, for a short time.
    fn look(&mut self) -> Result<(), KernelError> {
        look(
            self.kernel.registry_mut(),
            &mut self.discovery,
            &mut self.collector,
            (&self.options.scope, self.selection.as_mut()),
        )
    }

    /// Asks for the names of containers whose processes have been met since the last call.
    fn meet_containers(&mut self) {
        let processes = &self.collector.processes;
        for process in &processes[self.containers_met_of..] {
            self.containers.meet(&process.description.labels);
        }
        self.containers_met_of = processes.len();
        self.containers.look();
    }

    /// Where the sampling clock runs.
    #[must_use]
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }

    /// Keeps the records from now on; returns the stream that was kept until now.
    pub fn keep_stream(&mut self, stream: Option<stream::Writer>) -> Option<stream::Writer> {
        std::mem::replace(&mut self.stream, stream)
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

    /// Processes under profile so far: those that the filter has let pass.
    #[must_use]
    pub fn profiled(&self) -> usize {
        match &self.selection {
            Some(selection) => select::profiled(&self.collector, selection),
            None => self.collector.profiled,
        }
    }

    /// What is wanted, where that is not everything.
    #[must_use]
    pub const fn selection(&self) -> Option<&Selection> {
        self.selection.as_ref()
    }

    /// Whether nothing is under profile and nothing that was asked for can still become Python.
    #[must_use]
    pub fn has_nothing_to_wait_for(&self) -> bool {
        self.collector.profiled == 0
            && self.options.scope != Scope::All
            && !self.discovery.has_pending()
    }

    /// Records until the time is up, the order to stop is given, or nothing is left to profile. Calls `progress` each
    /// time that it has looked; where `refresh` is given, that often at least.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn run(
        &mut self,
        stop: &Stop,
        refresh: Option<Duration>,
        mut progress: impl FnMut(&Self),
    ) -> Result<(), KernelError> {
        let descriptor = self.kernel.descriptor();
        loop {
            let elapsed = self.sampling_since.elapsed();
            let rest = self
                .options
                .duration
                .map(|duration| duration.saturating_sub(elapsed));
            if stop.is_given() || rest == Some(Duration::ZERO) || self.is_over() {
                return Ok(());
            }
            let timeout = [
                Some(self.patience()),
                Some(self.discovery.wait()),
                rest,
                refresh,
            ]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(LOOK);
            wait::for_input(&[descriptor], &mut self.lives, stop, timeout);
            let before = self.collector.processes.len();
            self.drain()?;
            self.look()?;
            self.has_newcomers = self.collector.processes.len() != before;
            self.meet_containers();
            self.keep_pace()?;
            progress(self);
        }
    }

    /// How long the ring buffers may be left to themselves.
    fn patience(&self) -> Duration {
        // Of children, whose ends end the recording too, only the ring buffers and /proc tell.
        let has_ends_to_wait_for = self.options.scope != Scope::All && self.lives.is_empty();
        // Names of threads, as those of containers, are gone with whoever has them.
        if self.has_newcomers
            || self.pace.is_some()
            || has_ends_to_wait_for
            || self.options.thread_names
            || self.containers.has_questions()
        {
            LOOK
        } else {
            IDLE
        }
    }

    /// Stays within the budget, where there is one.
    fn keep_pace(&mut self) -> Result<(), KernelError> {
        match &mut self.pace {
            Some(pace) => pace.keep(&mut self.kernel, &mut self.collector),
            None => Ok(()),
        }
    }

    /// How far the recording has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            elapsed: self.sampling_since.elapsed(),
            samples: self.collector.samples,
            processes: self.profiled(),
            lost: self.kernel.count(event::SAMPLE_LOST),
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
    fn drain(&mut self) -> Result<(), KernelError> {
        let (collector, discovery) = (&mut self.collector, &mut self.discovery);
        let stream = &mut self.stream;
        // The news first: what has ended by now has sent its samples before.
        self.kernel
            .news(|record| take(collector, discovery, stream, record));
        let ends = collector.ends();
        if let Some(stream) = stream {
            stream.news();
        }
        self.kernel
            .samples(|record| take(collector, discovery, stream, record));
        // And once more: what has sent samples by now was forked before.
        self.kernel
            .news(|record| take(collector, discovery, stream, record));
        if let Some(stream) = stream {
            stream.read(monotonic_ns(), &collector.processes);
        }
        collector.tidy(ends);
        self.select()?;
        if self.options.thread_names {
            self.names.ask(&mut self.collector);
        }
        Ok(())
    }

    /// Stops sampling and puts the profile together.
    ///
    /// # Errors
    /// Where the programs cannot be stopped.
    pub fn finish(mut self) -> Result<Recorded, KernelError> {
        self.keep_pace()?;
        let run_time = self.kernel.run_time();
        self.kernel.stop()?;
        let mut runtimes = HashMap::default();
        let collector = &mut self.collector;
        for process in &mut collector.processes {
            let activity = collector.activity.get(&process.generation);
            if process.refused.is_some()
                || activity.is_some_and(|activity| activity.ended.is_some())
            {
                continue;
            }
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
        // The programs take a while to go on a busy machine: what CPU times are of is up to here.
        let duration = self.sampling_since.elapsed();
        self.drain()?;
        self.meet_containers();
        let in_kernel: HashMap<u64, Counters> = self
            .kernel
            .registry()
            .processes()
            .iter()
            .map(|(_, process)| (process.generation, Counters::from(process)))
            .collect();
        let scale = &self.collector.scale;
        let missed = scale.missed(&runtimes, self.collector.period_ns);
        for thread in scale.threads().into_iter().chain(missed) {
            let left_out = in_kernel
                .get(&thread.0)
                .map_or(0, |counters| counters.left_out);
            self.collector
                .settle(thread, runtimes.get(&thread).copied(), left_out);
        }
        self.collector.close();
        if self.options.thread_names {
            Names::ask_all(&mut self.collector);
        }
        for process in &mut self.collector.processes {
            process.counters = in_kernel.get(&process.generation).copied();
        }
        self.collector.make_up(|_| true);
        if let Some(selection) = &mut self.selection {
            select::leave_out(&mut self.collector, selection);
        }
        let about = finish::About {
            options: &self.options,
            started: self.started,
            duration,
            cpus: self.kernel.cpus(),
            bpf: run_time.map(|run_time| run_time.time),
            budget: self.pace.as_ref().map(Pace::kept),
            containers: self.containers.finish(NAMES_PATIENCE),
        };
        Ok(Recorded {
            profile: finish::profile(&self.collector, &about),
            launched: self.launched,
            selection: self.selection,
        })
    }
}

/// Takes in a record, and keeps it where it is to be kept.
fn take(
    collector: &mut Collector,
    discovery: &mut Discovery,
    stream: &mut Option<stream::Writer>,
    record: &[u8],
) {
    if let Some(stream) = stream {
        stream.record(record);
    }
    let before = collector.processes.len();
    match collector.take(record) {
        Some(Notice::Exec { pid, cpu }) => discovery.execed(pid, cpu),
        Some(Notice::Ended(pid, time)) => discovery.ended(pid, time),
        Some(Notice::Stranger(pid, time)) => discovery.met(pid, time),
        Some(Notice::Stateless(pid)) => discovery.doubt(pid),
        None => {}
    }
    for forked in &collector.processes[before..] {
        discovery.forked(forked.pid, forked.generation);
    }
}

/// Looks at processes that are due, for a short time, and puts those that are Python under profile.
fn look(
    registry: &mut Registry,
    discovery: &mut Discovery,
    collector: &mut Collector,
    (scope, mut selection): (&Scope, Option<&mut Selection>),
) -> Result<(), KernelError> {
    let mut outcome = Ok(());
    discovery.run(Instant::now() + SLICE, |look| {
        if outcome.is_ok() {
            let sight = (scope, selection.as_deref_mut());
            outcome = register::settle(registry, collector, sight, look);
        }
    });
    outcome
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
