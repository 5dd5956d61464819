//! The programs: which there are, and loading, attaching and unloading them.

use std::os::fd::{AsFd, BorrowedFd};

use aya::{
    Ebpf,
    maps::{Map, MapData, ProgramArray},
    programs::{PerfEvent, ProgramError, RawTracePoint},
};
use profiler_common::shared;

use super::{
    error::KernelError,
    statistics::{RunTime, RunTimeStatistics},
};

const STAGES: [&str; shared::stage::COUNT as usize] = shared::stage::NAMES;
const SAMPLE: &str = "sample";
const TRACEPOINTS: [(&str, &str); 4] = [
    ("fork", "sched_process_fork"),
    ("exec", "sched_process_exec"),
    ("exit", "sched_process_exit"),
    ("free", "sched_process_free"),
];
const CGROUPS: [(&str, &str); 2] = [
    ("cgroup_mkdir", "cgroup_mkdir"),
    ("cgroup_attach", "cgroup_attach_task"),
];

/// The programs.
pub(super) struct Programs {
    ebpf: Ebpf,
    // Held for as long as the programs may run: the array of tail calls loses its entries with it.
    stages: ProgramArray<MapData>,
    statistics: Option<RunTimeStatistics>,
}

impl Programs {
    /// Those of an object whose maps are made. Nothing runs yet.
    pub(super) fn new(mut ebpf: Ebpf, count_run_time: bool) -> Result<Self, KernelError> {
        Ok(Self {
            stages: ProgramArray::try_from(take(&mut ebpf, "STAGES")?)?,
            statistics: if count_run_time {
                RunTimeStatistics::enable().ok()
            } else {
                None
            },
            ebpf,
        })
    }

    /// Begins to report processes that fork, exec and end.
    pub(super) fn follow_processes(&mut self) -> Result<(), KernelError> {
        self.follow(&TRACEPOINTS)
    }

    /// Begins to report cgroups that are made, and to take note of threads that are moved between cgroups.
    pub(super) fn follow_cgroups(&mut self) -> Result<(), KernelError> {
        self.follow(&CGROUPS)
    }

    /// Loads programs and attaches them to tracepoints.
    fn follow(&mut self, tracepoints: &[(&'static str, &str)]) -> Result<(), KernelError> {
        for &(name, tracepoint_name) in tracepoints {
            let program = tracepoint(&mut self.ebpf, name)?;
            program
                .load()
                .map_err(|error| KernelError::Load { name, error })?;
            program
                .attach(tracepoint_name)
                .map_err(|error| KernelError::Attach { name, error })?;
        }
        Ok(())
    }

    /// Loads the sampling programs; the first of them. The kernel takes its time to verify them.
    pub(super) fn load(&mut self) -> Result<BorrowedFd<'_>, KernelError> {
        for (index, name) in STAGES.into_iter().enumerate() {
            let descriptor = load(&mut self.ebpf, name)?
                .fd()
                .map_err(|error| KernelError::Load { name, error })?;
            self.stages.set(index as u32, descriptor, 0)?;
        }
        load(&mut self.ebpf, SAMPLE)?;
        self.sample()
    }

    /// The program that the sampling event runs, which is loaded.
    pub(super) fn sample(&mut self) -> Result<BorrowedFd<'_>, KernelError> {
        let program = perf_event(&mut self.ebpf, SAMPLE)?.fd();
        let program = program.map_err(|error| KernelError::Load {
            name: SAMPLE,
            error,
        })?;
        Ok(program.as_fd())
    }

    /// Unloads what the sampling event runs, and what follows processes and cgroups.
    pub(super) fn unload(&mut self) -> Result<(), KernelError> {
        perf_event(&mut self.ebpf, SAMPLE)?
            .unload()
            .map_err(|error| KernelError::Attach {
                name: SAMPLE,
                error,
            })?;
        for (name, _) in TRACEPOINTS.into_iter().chain(CGROUPS) {
            match tracepoint(&mut self.ebpf, name)?.unload() {
                // Cgroups are followed where a filter waits for some.
                Ok(()) | Err(ProgramError::NotLoaded) => {}
                Err(error) => return Err(KernelError::Attach { name, error }),
            }
        }
        Ok(())
    }

    /// What the programs cost so far; None where the kernel does not count it.
    pub(super) fn run_time(&self) -> Option<RunTime> {
        self.statistics.as_ref()?;
        let mut sum = RunTime::default();
        for (_, program) in self.ebpf.programs() {
            if let Ok(info) = program.info() {
                sum.time += info.run_time();
                sum.runs += info.run_count();
            }
        }
        Some(sum)
    }

    /// How many instructions the verifier followed, by program; where the kernel tells (5.16+).
    pub(super) fn verified_instructions(&self) -> Vec<(String, u32)> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                Some((
                    name.to_owned(),
                    program.info().ok()?.verified_instruction_count()?,
                ))
            })
            .collect()
    }
}

/// Takes a map out of the object.
pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, KernelError> {
    ebpf.take_map(name).ok_or(KernelError::Incomplete(name))
}

/// Loads a sampling program.
fn load<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut PerfEvent, KernelError> {
    let program = perf_event(ebpf, name)?;
    program
        .load()
        .map_err(|error| KernelError::Load { name, error })?;
    Ok(program)
}

fn perf_event<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut PerfEvent, KernelError> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Incomplete(name))
}

fn tracepoint<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut RawTracePoint, KernelError> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Incomplete(name))
}
