//! A loader of eBPF objects that does not read the kernel's types.

use aya::{EbpfLoader, VerifierLogLevel};

/// aya's loader, for an object in which nothing is relocated against the kernel's types.
///
/// aya reads and parses all of these when a loader is made, unasked: 5 MB, which become 15, and the most memory that is
/// ever needed where there is little to profile. It makes do without where it cannot open their file. So it cannot: for
/// as long as the loader is made, no file can be opened. To be called while there is no other thread, which might want
/// to.
pub(super) fn loader<'a>() -> EbpfLoader<'a> {
    let closed = Closed::begin();
    let mut loader = EbpfLoader::new();
    drop(closed);
    loader
        .btf(None)
        .verifier_log_level(VerifierLogLevel::DISABLE);
    loader
}

/// No file can be opened.
struct Closed {
    before: libc::rlimit,
}

impl Closed {
    /// None where the limit cannot be read or changed: then it is as it was.
    fn begin() -> Option<Self> {
        let mut before = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: `before` is valid for writes.
        if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut before) } != 0 {
            return None;
        }
        set(&libc::rlimit {
            rlim_cur: 0,
            ..before
        })
        .then_some(Self { before })
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        // The limit that was there is allowed.
        set(&self.before);
    }
}

fn set(limit: &libc::rlimit) -> bool {
    // SAFETY: `limit` is valid for reads.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) == 0 }
}
