//! The ring buffers: one of samples for each CPU, so that none waits for another, and one of news for all of them.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    thread,
};

use aya::{
    Ebpf,
    maps::{ArrayOfMaps, Map, MapData, MapError, RingBuf},
};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use profiler_common::shared;

use super::{error::KernelError, joined, programs::take};

/// The array of the ring buffers of samples, by CPU number.
pub(super) const SAMPLES: &str = "RINGS";
const NEWS: &str = "NEWS";
/// Bytes that a record takes in a ring buffer at least: 8 before it, and 8 of its own.
const RECORD_BYTES_MIN: u32 = 16;
/// How many ring buffers are handed over at a time.
const AT_ONCE: usize = 32;

/// The ring buffers.
pub(super) struct Rings {
    /// The array that the kernel side finds them in.
    array: MapData,
    /// Those of samples, by the number of their CPU.
    samples: Vec<(u32, RingBuf<MapData>)>,
    /// Bytes of each of them.
    bytes: u32,
    news: RingBuf<MapData>,
    wakes: Wakes,
}

impl Rings {
    /// Makes one of so many bytes, a power of two, for each of these CPUs; the others are those of an object whose maps
    /// are made.
    pub(super) fn new(ebpf: &mut Ebpf, cpus: &[u32], bytes: u32) -> Result<Self, KernelError> {
        let Map::ArrayOfMaps(array) = take(ebpf, SAMPLES)? else {
            return Err(KernelError::Incomplete(SAMPLES));
        };
        let bytes = bytes.max(page_bytes());
        let samples = cpus
            .iter()
            .map(|&cpu| Ok((cpu, ring(bytes)?)))
            .collect::<Result<Vec<_>, MapError>>()?;
        let news = RingBuf::try_from(take(ebpf, NEWS)?)?;
        let all = samples.iter().map(|(_, ring)| ring).chain([&news]);
        let wakes = Wakes::of(all.map(AsFd::as_fd)).map_err(KernelError::Wait)?;
        Ok(Self {
            array,
            samples,
            bytes,
            news,
            wakes,
        })
    }

    /// Hands those of samples over to the kernel side.
    ///
    /// At each of them the kernel waits until all programs that run have ended (`maybe_wait_bpf_programs`, Linux
    /// kernel/bpf/syscall.c), some ten milliseconds. Those who wait at the same time wait together.
    pub(super) fn hand_over(&self) -> Result<(), KernelError> {
        let lot = self.samples.len().div_ceil(AT_ONCE).max(1);
        thread::scope(|scope| {
            let lots = self.samples.chunks(lot);
            let threads: Vec<_> = lots
                .map(|lot| scope.spawn(move || self.hand_over_lot(lot)))
                .collect();
            threads.into_iter().try_for_each(joined)
        })
    }

    fn hand_over_lot(&self, lot: &[(u32, RingBuf<MapData>)]) -> Result<(), KernelError> {
        let array = self.array.fd().as_fd().try_clone_to_owned();
        let array = MapData::from_fd(array.map_err(MapError::IoError)?)?;
        let mut array = ArrayOfMaps::<_, RingBuf<MapData>>::try_from(Map::ArrayOfMaps(array))?;
        for (cpu, ring) in lot {
            array.set(*cpu, ring, 0)?;
        }
        Ok(())
    }

    /// Hands the news of processes and cgroups that have arrived to `handle`.
    pub(super) fn news(&mut self, handle: impl FnMut(&[u8])) {
        drain(&mut self.news, shared::NEWS_BYTES, handle);
    }

    /// Hands the samples that have arrived, and what belongs to them, to `handle`. The news is to be looked at again
    /// afterwards: it may be what woke us.
    pub(super) fn samples(&mut self, mut handle: impl FnMut(&[u8])) {
        // Before: what arrives from here on wakes us once more.
        self.wakes.forget();
        for (_, ring) in &mut self.samples {
            drain(ring, self.bytes, &mut handle);
        }
    }

    /// Has input where the kernel side wants to wake us.
    pub(super) fn descriptor(&self) -> RawFd {
        self.wakes.epoll.0.as_raw_fd()
    }
}

/// A ring buffer of so many bytes.
fn ring(bytes: u32) -> Result<RingBuf<MapData>, MapError> {
    let definition = aya_obj::Map::new_from_params(BPF_MAP_TYPE_RINGBUF as u32, 0, 0, bytes, 0);
    RingBuf::try_from(Map::RingBuf(MapData::create(definition, "RING", None)?))
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

/// Waits for all ring buffers by one descriptor, however many they are.
///
/// A ring buffer that is waited for by itself counts as input once there is any record in it. Here it does where the
/// kernel side has asked for it (edge-triggered, epoll(7)): records of samples may lie until there are many, and on a
/// host with many CPUs there is always one.
struct Wakes {
    epoll: Epoll,
    /// Room for as many events as there can be.
    events: Vec<EpollEvent>,
}

impl Wakes {
    fn of<'a>(rings: impl Iterator<Item = BorrowedFd<'a>>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0);
        let mut events = Vec::new();
        for ring in rings {
            epoll.add(ring, event)?;
            events.push(EpollEvent::empty());
        }
        Ok(Self { epoll, events })
    }

    /// Takes note that we were woken.
    fn forget(&mut self) {
        // It cannot fail: nothing is waited for, and the descriptor is ours.
        let _ = self.epoll.wait(&mut self.events, EpollTimeout::ZERO);
    }
}

fn page_bytes() -> u32 {
    // SAFETY: has no preconditions.
    u32::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream};

    use super::*;

    /// Makes sure that whoever waits is woken by each of several, once each time that something comes, though all that
    /// came before still lies there.
    #[test]
    fn woken_once_each_time() {
        let (ours, mut theirs): (Vec<_>, Vec<_>) =
            (0..3).map(|_| UnixStream::pair().expect("sockets")).unzip();
        let mut wakes = Wakes::of(ours.iter().map(AsFd::as_fd)).expect("an epoll");
        let outer = Epoll::new(EpollCreateFlags::empty()).expect("an epoll");
        let event = EpollEvent::new(EpollFlags::EPOLLIN, 0);
        outer.add(&wakes.epoll.0, event).expect("added");
        let has_input = || {
            let mut events = [EpollEvent::empty()];
            outer.wait(&mut events, EpollTimeout::ZERO).expect("waited") == 1
        };
        assert!(!has_input());
        for _ in 0..2 {
            for sender in &mut theirs {
                sender.write_all(&[1]).expect("sent");
            }
            assert!(has_input() && has_input());
            wakes.forget();
            assert!(!has_input());
        }
    }
}
