//! Loading the programs, attaching them, and the maps as the rest of the profiler uses them.

use std::{
    fs::File,
    os::fd::{AsFd, RawFd},
    thread,
};

use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use aya::{EbpfLoader, VerifierLogLevel};
use profiler_common::{
    filter::MAX_MATCHES,
    shared::{self, Part},
};

use super::{
    Clock,
    capacity::Capacity,
    error::KernelError,
    filter::FilterMaps,
    joined,
    offsets::Offsets,
    perf::{self, period_ns},
    programs::{Programs, take},
    registry::Registry,
    rings::{self, Rings},
    sampling::Sampling,
    sent::Sent,
    statistics::RunTime,
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
    /// Bytes of each CPU's ring buffer: a power of two and a multiple of the page size; None: by the number of CPUs.
    pub ring_bytes: Option<u32>,
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
    /// How far samples go; None: all the way.
    pub stop_after: Option<Part>,
}

/// The programs, loaded, and their maps.
pub struct Kernel {
    programs: Programs,
    registry: Registry,
    rings: Rings,
    events: PerCpuArray<MapData, u64>,
    filter: FilterMaps,
    sent: Sent,
    sampling: Sampling,
    pace: Array<MapData, u64>,
    /// How often the period was changed.
    restarts: u64,
    cpus: Vec<u32>,
    options: Options,
    #[cfg(feature = "diagnostics")]
    log: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
}

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
        let capacity = Capacity::of_host(cpus.len(), options.max_processes);
        let ring_bytes = options.ring_bytes.unwrap_or(capacity.ring_bytes);
        let wakeup = u64::from(ring_bytes / 4);
        let period = period_ns(options.rate_hz);
        let mut loader = EbpfLoader::new();
        // Nothing in the object is relocated against the kernel's types. aya has read them, unasked; what they took is
        // given back before we read them, too.
        loader
            .btf(None)
            .verifier_log_level(VerifierLogLevel::DISABLE);
        let offsets = Offsets::of_kernel(options.filtered)?;
        let (by_clock, every_exec) = (
            u32::from(options.clock == Clock::CpuClock),
            u32::from(options.every_exec),
        );
        let paced = u32::from(options.paced);
        let stop_after = options.stop_after.map_or(0, |part| part as u32);
        let thread_mask = capacity.thread_slots - 1;
        loader
            .override_global("PERIOD_NS", &period, true)
            .override_global("WEIGH_BY_CLOCK", &by_clock, true)
            .override_global("PACED", &paced, true)
            .override_global("STOP_AFTER", &stop_after, true)
            .override_global("THREAD_MASK", &thread_mask, true)
            .override_global("WAKEUP_BYTES", &wakeup, true)
            .override_global("REPORT_EVERY_EXEC", &every_exec, true);
        offsets.set(&mut loader);
        if options.filtered {
            loader.map_max_entries("MATCHES", MAX_MATCHES);
        }
        loader
            .map_max_entries(rings::SAMPLES, cpus.iter().max().map_or(1, |cpu| cpu + 1))
            .map_max_entries("PROCESSES", capacity.processes)
            .map_max_entries("THREADS", capacity.thread_slots);
        let mut ebpf = loader.load(OBJECT)?;
        let registry = Registry::new(
            HashMap::try_from(take(&mut ebpf, "PROCESSES")?)?,
            Array::try_from(take(&mut ebpf, "LAYOUTS")?)?,
            capacity.processes,
        );
        let filter = FilterMaps::new(
            Array::try_from(take(&mut ebpf, "FILTER")?)?,
            HashMap::try_from(take(&mut ebpf, "MATCHES")?)?,
        );
        let sent = Sent::new(
            take(&mut ebpf, "SENT_STACKS")?,
            take(&mut ebpf, "SENT_CODE")?,
        )?;
        let rings = Rings::new(&mut ebpf, &cpus, ring_bytes)?;
        let events = PerCpuArray::try_from(take(&mut ebpf, "EVENTS")?)?;
        let pace = Array::try_from(take(&mut ebpf, "PACE")?)?;
        // None where the kernel side was built without its log.
        #[cfg(feature = "diagnostics")]
        let log = aya_log::EbpfLogger::init(&mut ebpf).ok();
        let mut programs = Programs::new(ebpf, options.count_run_time)?;
        programs.follow_processes()?;
        Ok(Self {
            programs,
            registry,
            rings,
            events,
            filter,
            sent,
            sampling: Sampling::default(),
            pace,
            restarts: 0,
            cpus,
            options,
            #[cfg(feature = "diagnostics")]
            log,
        })
    }

    /// Begins to report cgroups that are made, and to take note of threads that are moved between cgroups.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn follow_cgroups(&mut self) -> Result<(), KernelError> {
        self.programs.follow_cgroups()
    }

    /// The filter, where there is one: until it is set nothing passes.
    pub const fn filter(&mut self) -> &mut FilterMaps {
        &mut self.filter
    }

    /// Has the kernel side send stacks, by id, and code objects, by key, again when it meets them.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn send_again<'a>(
        &self,
        stacks: impl IntoIterator<Item = &'a u64>,
        code: impl IntoIterator<Item = &'a u64>,
    ) -> Result<(), KernelError> {
        self.sent
            .forget(stacks.into_iter().copied(), code.into_iter().copied())
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
        let (programs, rings) = (&mut self.programs, &self.rings);
        let (cpus, clock) = (&self.cpus, self.options.clock);
        let (sampling, refusal) = thread::scope(|scope| {
            let handing_over = scope.spawn(|| rings.hand_over());
            let loading = scope.spawn(|| {
                let program = programs.load()?;
                joined(handing_over)?;
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
        let program = self.programs.sample()?;
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
        self.restarts += 1;
        self.pace.set(shared::pace::RESTARTS, self.restarts, 0)?;
        let asked_ns = perf::period_ns(self.options.rate_hz);
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
        self.programs.unload()
    }

    /// What the programs cost so far; None where the kernel does not count it.
    #[must_use]
    pub fn run_time(&self) -> Option<RunTime> {
        self.programs.run_time()
    }

    /// How many instructions the verifier followed, by program; where the kernel tells (5.16+).
    #[must_use]
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        self.programs.verified_instructions()
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
        self.rings.news(handle);
    }

    /// Hands the samples that have arrived, and what belongs to them, to `handle`: those of one CPU in their order.
    pub fn samples(&mut self, handle: impl FnMut(&[u8])) {
        #[cfg(feature = "diagnostics")]
        if let Some(log) = &mut self.log {
            log.flush();
        }
        self.rings.samples(handle);
    }

    /// What to wait on for the ring buffers.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.rings.descriptor()
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
