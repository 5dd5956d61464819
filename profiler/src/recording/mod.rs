//! A recording from begin to end: wires host, interpreters, kernel side and symbols together.

mod accounts;
mod begin;
pub mod bound;
pub mod budget;
pub mod collector;
pub mod command;
mod conclude;
pub mod discovery;
mod ends;
mod finish;
mod fold;
mod names;
mod options;
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

use std::time::{Duration, Instant, SystemTime};

use profiler_common::shared::event;

use self::{
    collector::Collector,
    command::Launched,
    discovery::{Discovery, Scope},
    names::Names,
    pace::Pace,
    select::Binding,
    selection::Selection,
    tracked::Notice,
    wait::{Lives, Stop},
};
pub use self::{
    conclude::Recorded,
    options::{Error, Options, Progress},
};
use crate::{
    host::{self, clock::monotonic_ns, containers::Containers},
    kernel::{Kernel, KernelError, RunTime, registry::Registry},
};

/// How long the ring buffers are left to themselves where something waits for what is in them, and where nothing
/// does: the kernel side wakes us before one is full, and at once for what cannot wait.
const LOOK: Duration = Duration::from_millis(100);
/// See [`LOOK`].
const IDLE: Duration = Duration::from_secs(1);
/// How long processes are looked at before the ring buffers are looked at again, which must not fill.
const SLICE: Duration = Duration::from_millis(20);

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

impl Recording {
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

    /// What the programs have cost, where the kernel counts it, and how many samples they have begun.
    #[must_use]
    pub fn cost(&self) -> Option<(RunTime, u64)> {
        let processes = self.kernel.registry().processes();
        let taken = processes.iter().map(|(_, process)| process.taken).sum();
        Some((self.kernel.run_time()?, taken))
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
        let again = collector.keep_bound();
        // Those are over, and have shown their containers long ago.
        self.containers_met_of -= std::mem::take(&mut collector.folded).min(self.containers_met_of);
        if let Some(again) = again {
            self.kernel.send_again(&again.stacks, &again.code)?;
        }
        self.select()?;
        if self.options.thread_names {
            self.names.ask(&mut self.collector);
        }
        Ok(())
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
