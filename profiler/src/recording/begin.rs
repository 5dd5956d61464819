//! The beginning of a recording.

use std::{
    ffi::OsString,
    time::{Instant, SystemTime},
};

use super::{
    Error, Options, Recording,
    bound::Bound,
    collector::Collector,
    command::Launched,
    discovery::{Discovery, Scope},
    finish::own_rss_bytes,
    look,
    names::Names,
    pace::Pace,
    register,
    select::{self, Binding},
    wait::Lives,
};
use crate::{
    host::{
        containers::{self, Containers},
        switches::Switches,
    },
    kernel::{self, Kernel},
};

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
            stop_after: options.stop_after,
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
        collector.bound = Bound::beside(options.max_memory, own_rss_bytes());
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
}
