//! The filter in the course of a recording.

use std::{fmt, fs::File, time::Duration};

use foldhash::HashSet;

use profiler_common::shared::event;

use super::{
    Error, Options, Recording,
    collector::Collector,
    selection::{
        Selection,
        term::{Kind, Term},
    },
};
use crate::{
    host::{
        containers::{self, Names},
        switches::Switches,
    },
    kernel::{self, Kernel, KernelError},
};

/// How long the start waits for the names of containers that run.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many switches from one thread to another cost what a firing does that is in vain.
///
/// A sampling event that is bound to a cgroup has the kernel look, at each switch from one cgroup to another, whether
/// the event is to run: 0.2 us where it is not, on the reference machine. A firing of one that is not bound costs an
/// interrupt, of 1 us at least and 20 us in a virtual machine, and 1 us of the program.
const SWITCHES_PER_FIRING: u64 = 8;

/// What is wanted; None where that is everything.
pub fn selection(options: &Options) -> Result<Option<Selection>, Error> {
    if options.terms.is_empty() {
        return Ok(None);
    }
    let subsystems = kernel::filter::subsystems().map_err(KernelError::Btf)?;
    let asks_names = |term: &Term| term.kind == Kind::Container;
    let names = if options.terms.iter().any(asks_names) {
        Names::ask(&containers::endpoints(), PATIENCE)
    } else {
        Names::default()
    };
    let subsystem = |controller: &str| subsystems.get(controller).copied();
    let named = options.named.clone();
    Ok(Some(Selection::new(
        &options.terms,
        named,
        names,
        subsystem,
    )?))
}

/// Hands the filter over, before anything is sampled.
pub fn begin(selection: &mut Selection, kernel: &mut Kernel) -> Result<(), KernelError> {
    if selection.waits_for_cgroups() {
        kernel.follow_cgroups()?;
        // What was made since the first look: until now nobody told.
        selection.look();
    }
    selection.hand_over(kernel.filter())
}

/// Where the sampling clock runs.
#[derive(Debug)]
pub enum Binding {
    /// Everywhere: what is wanted is not in one cgroup alone, or not any more.
    Everywhere,
    /// Everywhere, since the host switches so often a second between threads.
    Busy(u64),
    /// Everywhere, since the kernel refuses.
    Refused(KernelError),
    /// In the cgroup with this id.
    To(u64),
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => write!(f, "everywhere"),
            Self::Busy(switches) => write!(
                f,
                "everywhere, as this host switches {switches} times a second between threads"
            ),
            Self::Refused(error) => write!(f, "everywhere: {error}"),
            Self::To(_) => write!(f, "bound to the cgroup"),
        }
    }
}

/// The cgroup that sampling is to be bound to, with its directory: where it is but one, and the host switches between
/// threads too seldom for that to cost more than it saves.
pub fn binding(
    selection: &Selection,
    (rate_hz, cpus): (u64, usize),
    switches: Option<&Switches>,
) -> (Binding, Option<File>) {
    let most = rate_hz
        .saturating_mul(cpus as u64)
        .saturating_mul(SWITCHES_PER_FIRING);
    match switches.and_then(Switches::a_second) {
        Some(switches) if switches <= most => match selection.open_only_cgroup() {
            Some((id, directory)) => (Binding::To(id), Some(directory)),
            None => (Binding::Everywhere, None),
        },
        switches => (Binding::Busy(switches.unwrap_or(0)), None),
    }
}

/// How many processes the filter has let pass.
pub fn profiled(collector: &Collector, selection: &Selection) -> usize {
    let processes = collector.processes.iter();
    processes
        .filter(|process| {
            process.refused.is_none()
                && (selection.has_matched(process.generation)
                    || collector.activity.contains_key(&process.generation))
        })
        .count()
}

/// Takes away the processes that the filter has left out: those without a sample, unless they match and only had
/// nothing to do.
pub fn leave_out(collector: &mut Collector, selection: &mut Selection) {
    let wanted: HashSet<u64> = collector
        .processes
        .iter()
        .filter(|process| {
            process.generation == 0
                || collector.counters(process).taken > 0
                || selection.has_matched(process.generation)
                || (!collector.has_ended(process.generation) && selection.matches(process.pid))
        })
        .map(|process| process.generation)
        .collect();
    collector.keep(&wanted);
}

impl Recording {
    /// Keeps the filter up to date: cgroups that were made, containers that got names, processes that were forked.
    pub(super) fn select(&mut self) -> Result<(), KernelError> {
        let Some(selection) = &mut self.selection else {
            // Nobody else wants to know.
            self.collector.forks.clear();
            return Ok(());
        };
        for (cgroup, path) in self.collector.cgroups.drain(..) {
            selection.appeared(&cgroup, &path);
        }
        for (parent, child) in self.collector.forks.drain(..) {
            selection.forked(parent, child);
        }
        for labels in selection.nameless() {
            self.containers.meet(&labels);
        }
        let lost = self.kernel.count(event::NEWS_LOST);
        if selection.learn(self.containers.names()) || lost != self.news_lost {
            self.news_lost = lost;
            selection.look();
        }
        selection.hand_over(self.kernel.filter())?;
        let is_only = |id| selection.only_cgroup().is_some_and(|(only, ..)| only == id);
        if let Binding::To(id) = self.binding
            && !is_only(id)
        {
            self.binding = Binding::Everywhere;
            self.kernel.sample_everywhere()?;
        }
        Ok(())
    }
}
