//! The ring buffers: what the kernel side has sent, in the order in which it is to be read.

use std::os::fd::{AsRawFd, RawFd};

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, RingBuf},
};
use profiler_common::shared;

use super::{error::KernelError, programs::take};

/// Bytes that a record takes in a ring buffer at least: 8 before it, and 8 of its own.
const RECORD_BYTES_MIN: u32 = 16;
const SAMPLES: [&str; shared::MAX_RINGS as usize] = ["RING_0", "RING_1", "RING_2", "RING_3"];
const NEWS: &str = "NEWS";

/// How many ring buffers for samples there are, and how large each is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    rings: u32,
    bytes: u32,
}

impl Sizes {
    /// For so many CPUs; `bytes` is a power of two and a multiple of the page size.
    pub(super) fn new(cpus: usize, bytes: u32) -> Self {
        let rings = shared::MAX_RINGS.min((cpus as u32).next_power_of_two());
        Self { rings, bytes }
    }

    /// What is taken of a CPU's number to find its ring buffer.
    pub(super) const fn mask(self) -> u32 {
        self.rings - 1
    }

    /// Bytes in a ring buffer from which on the kernel side wakes us.
    pub(super) const fn wakeup_bytes(self) -> u64 {
        self.bytes as u64 / 4
    }

    /// Hands them over.
    pub(super) fn set(self, loader: &mut EbpfLoader<'_>) {
        for (index, name) in SAMPLES.into_iter().enumerate() {
            // A ring that no CPU writes to is as small as the kernel lets it be.
            let is_used = (index as u32) < self.rings;
            loader.map_max_entries(name, if is_used { self.bytes } else { page_bytes() });
        }
    }
}

/// The ring buffers.
pub(super) struct Rings {
    sizes: Sizes,
    samples: Vec<RingBuf<MapData>>,
    news: RingBuf<MapData>,
}

impl Rings {
    /// Those of an object whose maps are made.
    pub(super) fn new(ebpf: &mut Ebpf, sizes: Sizes) -> Result<Self, KernelError> {
        let mut ring = |name| Ok::<_, KernelError>(RingBuf::try_from(take(ebpf, name)?)?);
        Ok(Self {
            sizes,
            samples: SAMPLES[..sizes.rings as usize]
                .iter()
                .map(|name| ring(name))
                .collect::<Result<_, _>>()?,
            news: ring(NEWS)?,
        })
    }

    /// Hands the news of processes and cgroups that have arrived to `handle`.
    pub(super) fn news(&mut self, handle: impl FnMut(&[u8])) {
        drain(&mut self.news, shared::NEWS_BYTES, handle);
    }

    /// Hands the samples that have arrived, and what belongs to them, to `handle`.
    pub(super) fn samples(&mut self, mut handle: impl FnMut(&[u8])) {
        for ring in &mut self.samples {
            drain(ring, self.sizes.bytes, &mut handle);
        }
    }

    /// Descriptors to wait on.
    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        let rings = self.samples.iter().chain([&self.news]);
        rings.map(AsRawFd::as_raw_fd).collect()
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

fn page_bytes() -> u32 {
    // SAFETY: has no preconditions.
    u32::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}
