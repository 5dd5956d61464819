//! Waiting for records.

use std::{os::fd::RawFd, time::Duration};

/// Waits until one of the descriptors has input, a signal comes, or the time is up.
pub fn for_input(descriptors: &[RawFd], timeout: Duration) {
    let mut polled: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|&fd| libc::pollfd {
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
}
