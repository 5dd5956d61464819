//! How large the maps are made: what the host runs, and room for more.

use std::fs;

use profiler_common::shared;

/// The most processes that the map is sized for without being told: some 200 MB.
const MOST_PROCESSES: u64 = 1 << 20;
/// Bytes that the caches of thread states may take in all.
const CACHE_BYTES: u64 = 16 << 20;
/// Bytes that the ring buffers of samples may take in all, if that leaves each CPU [the least](RING_BYTES_MIN).
const RINGS_BYTES: u64 = 8 << 20;
/// Bytes of a CPU's ring buffer at least: room for some dozens of stacks that are met for the first time, with the names
/// and line tables of all that is on them.
const RING_BYTES_MIN: u64 = 128 << 10;
/// Bytes of a CPU's ring buffer at most: room for 8,000 samples.
const RING_BYTES_MAX: u64 = 512 << 10;
/// Bytes of one entry of such a cache.
const ENTRY_BYTES: u64 = 48;

/// Sizes of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Processes under profile at a time.
    pub processes: u32,
    /// Slots of the cache of thread states of each CPU: a power of two.
    pub thread_slots: u32,
    /// Bytes of the ring buffer of each CPU: a power of two.
    pub ring_bytes: u32,
}

impl Capacity {
    /// For this host; `processes` where that is given.
    #[must_use]
    pub fn of_host(cpus: usize, processes: Option<u32>) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let threads = threads(&read("/proc/loadavg")).unwrap_or(0);
        let pids = read("/proc/sys/kernel/pid_max").trim().parse();
        Self::sized(cpus as u64, threads, pids.unwrap_or(1 << 15), processes)
    }

    fn sized(cpus: u64, threads: u64, pids: u64, processes: Option<u32>) -> Self {
        // Every thread may be a process, and there may be four times as many before the end. Memory for
        // them is taken at once: the kernel side must not wait for any.
        let room = (threads * 4).clamp(shared::DEFAULT_PROCESSES.into(), MOST_PROCESSES);
        // Ids are the index of the cache: twice as many slots as ids in use keep most from sharing one.
        let most = (CACHE_BYTES / ENTRY_BYTES / cpus.max(1)).max(shared::THREAD_SLOTS.into());
        let slots = (threads * 2).clamp(shared::THREAD_SLOTS.into(), most);
        // The largest power of two that is not more than `most`, where as many are needed.
        let slots = slots.next_power_of_two();
        let slots = if slots > most { slots / 2 } else { slots };
        Self {
            ring_bytes: ring_bytes(cpus),
            processes: processes
                .unwrap_or_else(|| u32::try_from(room.min(pids.max(1))).unwrap_or(u32::MAX)),
            thread_slots: u32::try_from(slots).unwrap_or(shared::THREAD_SLOTS),
        }
    }
}

/// The largest power of two that is not more than a CPU's part.
fn ring_bytes(cpus: u64) -> u32 {
    let part = (RINGS_BYTES / cpus.max(1)).clamp(RING_BYTES_MIN, RING_BYTES_MAX);
    1 << part.ilog2()
}

/// How many threads there are: the number behind the slash in `0.20 0.18 0.12 1/80 11206`, proc_loadavg(5).
fn threads(loadavg: &str) -> Option<u64> {
    let (_, rest) = loadavg.split_once('/')?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that the number of threads is found where the manual says.
    #[test]
    fn threads_of_the_load_average() {
        assert_eq!(threads("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert_eq!(threads(""), None);
    }

    /// Makes sure that ring buffers share what there is for them as powers of two, between their least and their most.
    #[test]
    fn parts_of_the_ring_buffers() {
        let kilobytes = |cpus| ring_bytes(cpus) >> 10;
        assert_eq!([1, 2, 16].map(kilobytes), [512, 512, 512]);
        assert_eq!([17, 32, 48].map(kilobytes), [256, 256, 128]);
        assert_eq!([64, 192, 4096].map(kilobytes), [128, 128, 128]);
        assert_eq!(kilobytes(0), 512);
    }

    /// Makes sure that maps grow with the host, within bounds, that there are never more processes than ids,
    /// and that slots are a power of two.
    #[test]
    fn sizes() {
        let of = |cpus, threads, pids| Capacity::sized(cpus, threads, pids, None);
        let small = of(2, 80, 4_194_304);
        assert_eq!((small.processes, small.thread_slots), (8192, 1024));
        let many = of(2, 7000, 4_194_304);
        assert_eq!((many.processes, many.thread_slots), (28_000, 16_384));
        let huge = of(192, 1_000_000, 4_194_304);
        assert_eq!((huge.processes, huge.thread_slots), (1 << 20, 1024));
        assert_eq!(of(4, 7000, 4096).processes, 4096);
        assert_eq!(Capacity::sized(4, 7000, 4096, Some(3)).processes, 3);
        for threads in 0..20_000 {
            assert!(of(3, threads, 32_768).thread_slots.is_power_of_two());
        }
    }
}
