//! Waiting for records, for the end of processes, and for the order to stop.

use std::{
    collections::HashSet,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The order to stop, from a signal handler.
#[derive(Debug)]
pub struct Stop {
    /// Whether it was given.
    pub flag: Arc<AtomicBool>,
    /// Has something to be read once it was: signals may come to another thread than the one that waits, or a moment
    /// before it does.
    pub wakes: UnixStream,
}

impl Stop {
    /// Whether it was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// Processes whose end is waited for.
#[derive(Debug, Default)]
pub struct Lives {
    descriptors: Vec<OwnedFd>,
}

impl Lives {
    /// Those of these processes that live.
    #[must_use]
    pub fn of(pids: &HashSet<u32>) -> Self {
        Self {
            descriptors: pids
                .iter()
                .filter_map(|&pid| descriptor(pid).ok())
                .collect(),
        }
    }

    /// Whether none is known to live.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.descriptors.is_empty()
    }
}

/// A descriptor of a process, which has input once the process has ended (`pidfd_open(2)`, Linux 5.3).
fn descriptor(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call touches no memory of ours.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    let number = RawFd::try_from(number)
        .ok()
        .filter(|&number| number >= 0)
        .ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Waits until one of the descriptors has input, one of the processes has ended, the order to stop is given, a signal
/// comes, or the time is up. Forgets processes that have ended.
pub fn for_input(descriptors: &[RawFd], lives: &mut Lives, stop: &Stop, timeout: Duration) {
    let others = lives.descriptors.iter().map(AsRawFd::as_raw_fd);
    let mut polled: Vec<libc::pollfd> = others
        .chain([stop.wakes.as_raw_fd()])
        .chain(descriptors.iter().copied())
        .map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // Rounded up, so that the last fraction of a millisecond is not spent in a loop.
    let milliseconds = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: the array is valid for its length. An error (a signal) is as good as input: the caller looks.
    unsafe {
        libc::poll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            milliseconds,
        )
    };
    let mut has_ended = polled.iter().map(|one| one.revents != 0);
    lives
        .descriptors
        .retain(|_| !has_ended.next().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use std::{io::Write, process::Command, time::Instant};

    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(60);

    fn stop() -> (Stop, UnixStream) {
        let (wakes, signals) = UnixStream::pair().unwrap();
        let flag = Arc::default();
        (Stop { flag, wakes }, signals)
    }

    /// Makes sure that the end of a process is noticed at once, and that it is waited for no more.
    #[test]
    fn processes_that_end() {
        let (stop, _signals) = stop();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let mut lives = Lives::of(&HashSet::from([child.id()]));
        assert!(!lives.is_empty());
        for_input(&[], &mut lives, &stop, Duration::ZERO);
        assert!(!lives.is_empty());
        child.kill().unwrap();
        let begin = Instant::now();
        for_input(&[], &mut lives, &stop, FOR_EVER);
        assert!(lives.is_empty() && begin.elapsed() < FOR_EVER);
        child.wait().unwrap();
        assert!(Lives::of(&HashSet::from([child.id()])).is_empty());
    }

    /// Makes sure that an order that was given before the wait ends it.
    #[test]
    fn orders_are_not_missed() {
        let (stop, mut signals) = stop();
        signals.write_all(&[1]).unwrap();
        let begin = Instant::now();
        for_input(&[], &mut Lives::default(), &stop, FOR_EVER);
        assert!(begin.elapsed() < FOR_EVER);
    }
}
