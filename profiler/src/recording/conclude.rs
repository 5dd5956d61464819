//! The end of a recording.

use std::time::Duration;

use foldhash::HashMap;

use super::{
    Recording, command::Launched, finish, names::Names, pace::Pace, select, selection::Selection,
    tracked::Counters,
};
use crate::{host, kernel::KernelError, profile::model::Profile};

/// How long the end of a recording waits for names of containers that nobody has told yet.
const NAMES_PATIENCE: Duration = Duration::from_millis(300);

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
        self.collector.close_bound();
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
            memory: self.collector.bound.memory(self.options.max_memory),
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
