//! What the tests need of the machine, and their turns on it.

use std::{
    env,
    fs::{File, OpenOptions},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::bpf;

/// The program under test: `PYPROF_BINARY`, or this workspace's release build.
#[must_use]
pub fn binary() -> PathBuf {
    env::var_os("PYPROF_BINARY").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/pyprof-ebpf"),
        PathBuf::from,
    )
}

/// The programs to be profiled: `PYPROF_TEST_PROGRAMS`, or this workspace's.
#[must_use]
pub fn programs() -> PathBuf {
    env::var_os("PYPROF_TEST_PROGRAMS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("programs"),
        PathBuf::from,
    )
}

/// How long to wait for what should take a moment: long, since an emulated machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Says that a test is skipped and why; under CI nothing may be skipped.
///
/// # Panics
/// Under CI.
pub fn skip(reason: &str) {
    assert!(
        env::var_os("CI").is_none(),
        "skipped, which must not be under CI: {reason}"
    );
    println!("skipped: {reason}");
}

/// Whether programs can be profiled here; says why not.
#[must_use]
pub fn require_root_and_bpf() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        skip("this test profiles, which takes root");
        return false;
    }
    if let Err(error) = bpf::programs() {
        skip(&format!("the kernel lets nobody use BPF here: {error}"));
        return false;
    }
    if !binary().exists() {
        skip(&format!(
            "{} is not built: cargo xtask build",
            binary().display()
        ));
        return false;
    }
    true
}

/// A test's turn on the machine: tests of one or several processes run one after the other, since each loads
/// the CPUs and looks at all processes.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

impl Turn {
    /// Waits for the turn; None where nothing can be profiled here, which is then said.
    #[must_use]
    pub fn take() -> Option<Self> {
        if !require_root_and_bpf() {
            return None;
        }
        match lock(&env::temp_dir().join("pyprof-ebpf-tests.lock")) {
            Ok(file) => Some(Self(file)),
            Err(error) => {
                skip(&format!("cannot take turns with other tests: {error}"));
                None
            }
        }
    }
}

fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    // SAFETY: the descriptor is open for the length of the call. Each open of the file is a lock of its own.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}
