//! Loading the programs, attaching them, and the maps as the rest of the profiler uses them.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    panic, thread,
};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, ProgramArray, RingBuf},
    programs::{PerfEvent, ProgramError, RawTracePoint},
};
use profiler_common::{filter::MAX_MATCHES, shared};

use super::{
    Clock,
    btf::{Btf, BtfError},
    capacity::Capacity,
    error::KernelError,
    filter::{FilterMaps, Offsets},
    perf,
    registry::Registry,
    sampling::Sampling,
    statistics::{RunTime, RunTimeStatistics},
};

/// The object that the kernel side was compiled to; empty where the build had no eBPF toolchain.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pyprof-ebpf.o"));

/// How to sample.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the sampling event counts.
    pub clock: Clock,
    /// Samples per second and CPU.
    pub rate_hz: u64,
    /// Bytes of each ring buffer: a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Processes under profile at a time; None: as many as the host makes likely.
    pub max_processes: Option<u32>,
    /// Whether to hear of each exec on the host.
    pub every_exec: bool,
    /// Whether to have the kernel count the programs' run time.
    pub count_run_time: bool,
    /// Whether the period may be changed: see [`Kernel::change_period`].
    pub paced: bool,
    /// Whether there is a filter: see [`Kernel::filter`].
    pub filtered: bool,
}

/// The programs, loaded, and their maps.
pub struct Kernel {
    programs: Ebpf,
    registry: Registry,
    rings: Vec<RingBuf<MapData>>,
    news: RingBuf<MapData>,
    events: PerCpuArray<MapData, u64>,
    filter: FilterMaps,
    // Held for as long as the programs may run: the array of tail calls loses its entries with it.
    stages: ProgramArray<MapData>,
    _statistics: Option<RunTimeStatistics>,
    sampling: Sampling,
    pace: Array<MapData, u64>,
    cpus: Vec<u32>,
    options: Options,
    #[cfg(feature = "diagnostics")]
    log: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
}

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
/// Bytes that a record takes in a ring buffer at least: 8 before it, and 8 of its own.
const RECORD_BYTES_MIN: u32 = 16;
const RINGS: [&str; shared::MAX_RINGS as usize] = ["RING_0", "RING_1", "RING_2", "RING_3"];

impl Kernel {
    /// Makes the maps, and begins to report processes that fork, exec and end. Nothing is sampled before
    /// [`Self::sample`].
    ///
    /// # Errors
    /// Where the kernel lacks something or refuses.
    pub fn load(options: Options) -> Result<Self, KernelError> {
        if OBJECT.is_empty() {
            return Err(KernelError::NoObject);
        }
        let cpus = perf::online_cpus().map_err(KernelError::Cpus)?;
        let rings = shared::MAX_RINGS.min((cpus.len() as u32).next_power_of_two());
        let capacity = Capacity::of_host(cpus.len(), options.max_processes);
        let period = period_ns(options.rate_hz);
        // aya reads the kernel's types too, unasked: at the same time.
        let (mut loader, offsets) = thread::scope(|scope| {
            let offsets = scope.spawn(|| offsets(options.filtered));
            (EbpfLoader::new(), joined(offsets))
        });
        let (task, filter) = offsets?;
        // Nothing in the object is relocated against the kernel's types.
        loader
            .btf(None)
            .verifier_log_level(VerifierLogLevel::DISABLE);
        let (by_clock, every_exec) = (
            u32::from(options.clock == Clock::CpuClock),
            u32::from(options.every_exec),
        );
        let paced = u32::from(options.paced);
        let thread_mask = capacity.thread_slots - 1;
        let (ring_mask, wakeup) = (rings - 1, u64::from(options.ring_bytes / 4));
        loader
            .override_global("PERIOD_NS", &period, true)
            .override_global("WEIGH_BY_CLOCK", &by_clock, true)
            .override_global("PACED", &paced, true)
            .override_global("RING_MASK", &ring_mask, true)
            .override_global("THREAD_MASK", &thread_mask, true)
            .override_global("WAKEUP_BYTES", &wakeup, true)
            .override_global("REPORT_EVERY_EXEC", &every_exec, true)
            .override_global("TASK_THREAD_POINTER", &task.thread_pointer, true)
            .override_global("TASK_RUNTIME", &task.runtime, true)
            .override_global("TASK_TGID", &task.tgid, true)
            .override_global("TASK_PID", &task.pid, true)
            .override_global("TASK_SIGNAL", &task.signal, true)
            .override_global("SIGNAL_LIVE", &task.live, true)
            .override_global("TASK_MM", &task.memory, true)
            .override_global("MM_EXEC_VM", &task.executable_pages, true);
        filter.set(&mut loader);
        if options.filtered {
            loader.map_max_entries("MATCHES", MAX_MATCHES);
        }
        for (index, name) in RINGS.iter().enumerate() {
            // A ring that no CPU writes to is as small as the kernel lets it be.
            let bytes = if (index as u32) < rings {
                options.ring_bytes
            } else {
                page_bytes()
            };
            loader.map_max_entries(name, bytes);
        }
        loader
            .map_max_entries("PROCESSES", capacity.processes)
            .map_max_entries("THREADS", capacity.thread_slots);
        let mut programs = loader.load(OBJECT)?;
        let statistics = if options.count_run_time {
            RunTimeStatistics::enable().ok()
        } else {
            None
        };
        for (name, tracepoint_name) in TRACEPOINTS {
            follow(&mut programs, name, tracepoint_name)?;
        }
        let rings = RINGS[..rings as usize]
            .iter()
            .map(|name| Ok(RingBuf::try_from(take(&mut programs, name)?)?))
            .collect::<Result<_, KernelError>>()?;
        Ok(Self {
            registry: Registry::new(
                HashMap::try_from(take(&mut programs, "PROCESSES")?)?,
                Array::try_from(take(&mut programs, "LAYOUTS")?)?,
                capacity.processes,
            ),
            rings,
            news: RingBuf::try_from(take(&mut programs, "NEWS")?)?,
            events: PerCpuArray::try_from(take(&mut programs, "EVENTS")?)?,
            filter: FilterMaps::new(
                Array::try_from(take(&mut programs, "FILTER")?)?,
                HashMap::try_from(take(&mut programs, "MATCHES")?)?,
            ),
            stages: ProgramArray::try_from(take(&mut programs, "STAGES")?)?,
            _statistics: statistics,
            sampling: Sampling::default(),
            pace: Array::try_from(take(&mut programs, "PACE")?)?,
            // None where the kernel side was built without its log.
            #[cfg(feature = "diagnostics")]
            log: aya_log::EbpfLogger::init(&mut programs).ok(),
            programs,
            cpus,
            options,
        })
    }

    /// Begins to report cgroups that are made, and to take note of threads that are moved between cgroups.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn follow_cgroups(&mut self) -> Result<(), KernelError> {
        for (name, tracepoint_name) in CGROUPS {
            follow(&mut self.programs, name, tracepoint_name)?;
        }
        Ok(())
    }

    /// The filter, where there is one: until it is set nothing passes.
    pub const fn filter(&mut self) -> &mut FilterMaps {
        &mut self.filter
    }

    /// Begins to sample on every CPU, each `period_ns`; where a cgroup of version 2 is given, by its directory, in it and
    /// those below it alone if the kernel lets us, else everywhere: then why is what this returns. The kernel takes its
    /// time to verify the programs: `meanwhile` is called again and again until that is done, or it says that it has
    /// nothing more to do.
    ///
    /// # Errors
    /// Where the kernel refuses a program, or the sampling event cannot be opened.
    pub fn sample(
        &mut self,
        period_ns: u64,
        cgroup: Option<&File>,
        mut meanwhile: impl FnMut(&mut Registry) -> bool,
    ) -> Result<Option<KernelError>, KernelError> {
        let (programs, stages) = (&mut self.programs, &mut self.stages);
        let (cpus, clock) = (&self.cpus, self.options.clock);
        let (sampling, refusal) = thread::scope(|scope| {
            let loading = scope.spawn(|| {
                let program = load(programs, stages)?;
                let start = |cgroup| Sampling::start(clock, period_ns, cpus, cgroup, program);
                let refusal = match cgroup.map(|cgroup| start(Some(cgroup.as_fd()))) {
                    Some(Ok(sampling)) => return Ok((sampling, None)),
                    Some(Err(error)) => Some(error),
                    None => None,
                };
                Ok::<_, KernelError>((start(None)?, refusal))
            });
            while !loading.is_finished() && meanwhile(&mut self.registry) {}
            joined(loading)
        })?;
        self.sampling = sampling;
        Ok(refusal)
    }

    /// Samples everywhere, where it did so in one cgroup only.
    ///
    /// # Errors
    /// Where the sampling event cannot be opened.
    pub fn sample_everywhere(&mut self) -> Result<(), KernelError> {
        let (clock, period_ns) = (self.options.clock, self.sampling.period_ns());
        let program = sampling_program(&mut self.programs)?;
        self.sampling = Sampling::start(clock, period_ns, &self.cpus, None, program)?;
        Ok(())
    }

    /// Samples each `period_ns` from now on. The samples say for how many periods of the rate that was asked for
    /// they stand.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn change_period(&mut self, period_ns: u64) -> Result<(), KernelError> {
        self.sampling.restart(period_ns);
        // Afterwards: a firing in between is still on the old grid.
        let restarts = self.pace.get(&shared::pace::RESTARTS, 0)? + 1;
        self.pace.set(shared::pace::RESTARTS, restarts, 0)?;
        let asked_ns = self::period_ns(self.options.rate_hz);
        let stride = (period_ns / asked_ns.max(1)).max(1);
        Ok(self.pace.set(shared::pace::STRIDE, stride, 0)?)
    }

    /// Stops sampling and following; what is in the ring buffers can still be read.
    ///
    /// # Errors
    /// Where a program cannot be unloaded.
    pub fn stop(&mut self) -> Result<(), KernelError> {
        self.sampling = Sampling::default();
        // Run times are gone with the programs: they are read before.
        perf_event(&mut self.programs, SAMPLE)?
            .unload()
            .map_err(|error| KernelError::Attach {
                name: SAMPLE,
                error,
            })?;
        for (name, _) in TRACEPOINTS.into_iter().chain(CGROUPS) {
            match tracepoint(&mut self.programs, name)?.unload() {
                // Cgroups are followed where a filter waits for some.
                Ok(()) | Err(ProgramError::NotLoaded) => {}
                Err(error) => return Err(KernelError::Attach { name, error }),
            }
        }
        Ok(())
    }

    /// What the programs cost so far; None where the kernel does not count it.
    #[must_use]
    pub fn run_time(&self) -> Option<RunTime> {
        self._statistics.as_ref()?;
        let mut sum = RunTime::default();
        for (_, program) in self.programs.programs() {
            if let Ok(info) = program.info() {
                sum.time += info.run_time();
                sum.runs += info.run_count();
            }
        }
        Some(sum)
    }

    /// How many instructions the verifier followed, by program; where the kernel tells (5.16+).
    #[must_use]
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        self.programs
            .programs()
            .filter_map(|(name, program)| {
                Some((
                    name.to_owned(),
                    program.info().ok()?.verified_instruction_count()?,
                ))
            })
            .collect()
    }

    /// The CPUs that are sampled.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.cpus.len()
    }

    /// The processes under profile.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The processes under profile, to be changed.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Hands the news of processes and cgroups that have arrived to `handle`, in the order in which they happened.
    pub fn news(&mut self, handle: impl FnMut(&[u8])) {
        drain(&mut self.news, shared::NEWS_BYTES, handle);
    }

    /// Hands the samples that have arrived, and what belongs to them, to `handle`: those of one CPU in their order.
    pub fn samples(&mut self, mut handle: impl FnMut(&[u8])) {
        #[cfg(feature = "diagnostics")]
        if let Some(log) = &mut self.log {
            log.flush();
        }
        for ring in &mut self.rings {
            drain(ring, self.options.ring_bytes, &mut handle);
        }
    }

    /// The ring buffers' descriptors, to wait on.
    #[must_use]
    pub fn descriptors(&self) -> Vec<RawFd> {
        let rings = self.rings.iter().chain([&self.news]);
        rings.map(AsRawFd::as_raw_fd).collect()
    }

    /// How often something happened that has no process to be counted at
    /// (`profiler_common::shared::event`).
    #[must_use]
    pub fn count(&self, event: u32) -> u64 {
        self.events
            .get(&event, 0)
            .map_or(0, |values| values.iter().sum())
    }
}

/// Hands records to `handle`: at least those that are there now, and not more than a ring buffer of `bytes` can hold,
/// so that one into which they keep coming does not keep the others waiting.
fn drain(ring: &mut RingBuf<MapData>, bytes: u32, mut handle: impl FnMut(&[u8])) {
    for _ in 0..bytes / RECORD_BYTES_MIN {
        let Some(record) = ring.next() else {
            break;
        };
        handle(&record);
    }
}

/// Loads a program and attaches it to a tracepoint.
fn follow(
    programs: &mut Ebpf,
    name: &'static str,
    tracepoint_name: &str,
) -> Result<(), KernelError> {
    let program = tracepoint(programs, name)?;
    program
        .load()
        .map_err(|error| KernelError::Load { name, error })?;
    program
        .attach(tracepoint_name)
        .map_err(|error| KernelError::Attach { name, error })?;
    Ok(())
}

/// Loads a sampling program.
fn load_sampling<'a>(
    programs: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut PerfEvent, KernelError> {
    let program = perf_event(programs, name)?;
    program
        .load()
        .map_err(|error| KernelError::Load { name, error })?;
    Ok(program)
}

/// Loads the sampling programs; the first of them.
fn load<'a>(
    programs: &'a mut Ebpf,
    stages: &mut ProgramArray<MapData>,
) -> Result<BorrowedFd<'a>, KernelError> {
    for (index, name) in STAGES.into_iter().enumerate() {
        let descriptor = load_sampling(programs, name)?
            .fd()
            .map_err(|error| KernelError::Load { name, error })?;
        stages.set(index as u32, descriptor, 0)?;
    }
    load_sampling(programs, SAMPLE)?;
    sampling_program(programs)
}

/// The program that the sampling event runs, which is loaded.
fn sampling_program(programs: &mut Ebpf) -> Result<BorrowedFd<'_>, KernelError> {
    let program = perf_event(programs, SAMPLE)?.fd();
    let program = program.map_err(|error| KernelError::Load {
        name: SAMPLE,
        error,
    })?;
    Ok(program.as_fd())
}

/// What a thread returned; its panic goes on here.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|payload| panic::resume_unwind(payload))
}

/// The sampling period of a rate, in ns.
///
/// Round rates are sampled 0.3 % slower than asked for: the scheduler's tick comes 100, 250, 300 or 1000
/// times a second, and a sampling clock in step with it would meet every time slice at the same place.
#[must_use]
pub const fn period_ns(rate_hz: u64) -> u64 {
    let rate = if rate_hz == 0 { 1 } else { rate_hz };
    let period = 1_000_000_000 / rate;
    if rate.is_multiple_of(50) {
        period + period * 3 / 1000
    } else {
        period
    }
}

/// Where fields lie in the running kernel's structures.
fn offsets(filtered: bool) -> Result<(TaskOffsets, Offsets), BtfError> {
    let btf = Btf::of_kernel()?;
    let filter = if filtered {
        Offsets::of(&btf)?
    } else {
        Offsets::default()
    };
    Ok((TaskOffsets::of(&btf)?, filter))
}

struct TaskOffsets {
    thread_pointer: u32,
    runtime: u32,
    tgid: u32,
    pid: u32,
    signal: u32,
    live: u32,
    memory: u32,
    executable_pages: u32,
}

impl TaskOffsets {
    fn of(btf: &Btf) -> Result<Self, BtfError> {
        let task = |path: &[&str]| btf.offset("task_struct", path);
        Ok(Self {
            // x86-64: `thread_struct.fsbase`, which is what pthread_self() is.
            thread_pointer: task(&["thread", "fsbase"])?,
            runtime: task(&["se", "sum_exec_runtime"])?,
            tgid: task(&["tgid"])?,
            pid: task(&["pid"])?,
            signal: task(&["signal"])?,
            live: btf.offset("signal_struct", &["live"])?,
            memory: task(&["mm"])?,
            executable_pages: btf.offset("mm_struct", &["exec_vm"])?,
        })
    }
}

fn take(programs: &mut Ebpf, name: &'static str) -> Result<Map, KernelError> {
    programs.take_map(name).ok_or(KernelError::Incomplete(name))
}

fn perf_event<'a>(
    programs: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut PerfEvent, KernelError> {
    programs
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Incomplete(name))
}

fn tracepoint<'a>(
    programs: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut RawTracePoint, KernelError> {
    programs
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Incomplete(name))
}

fn page_bytes() -> u32 {
    // SAFETY: has no preconditions.
    u32::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}
