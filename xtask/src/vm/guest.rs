//! What runs inside a virtual machine, and what it runs.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{paths, setup, shell};

/// A line that begins with this and a number is the last that a guest says: the status of its tests.
pub const STATUS: &str = "pyprof-vm: status ";

/// The tests that are run. Those that compare times with the kernel's own account are left out: in an
/// emulated machine the clock's interrupts come late and bunched.
const TESTS: &[&str] = &[
    "call_sites",
    "filtered_by_cgroup",
    "generators",
    "impossible_stacks",
    "reused_code",
    "split",
];

/// An interpreter to profile in the guest.
pub struct Interpreter {
    /// As the tests call it.
    pub name: &'static str,
    /// `3.8`
    pub version: &'static str,
    /// Inside the guest.
    pub executable: PathBuf,
    /// The root file system from which it is copied.
    pub host_root: PathBuf,
}

/// The contents of a guest.
pub struct Guest {
    /// The oldest layout, a static stripped build, and one that describes itself.
    pub interpreters: Vec<Interpreter>,
    /// The program under test.
    pub profiler: PathBuf,
    /// The compiled truth tests.
    pub tests: PathBuf,
    /// The Python programs that these profile.
    pub programs: PathBuf,
}

impl Guest {
    /// A guest for this build of the profiler and the tests.
    pub fn new(profiler: PathBuf, tests: PathBuf) -> Self {
        let pyenv = paths::pyenv().join("versions");
        let interpreter = |name, version, executable: PathBuf, host_root| Interpreter {
            name,
            version,
            executable,
            host_root,
        };
        Self {
            interpreters: vec![
                interpreter(
                    "3.8.18",
                    "3.8",
                    pyenv.join("3.8.18/bin/python3.8"),
                    "/".into(),
                ),
                interpreter(
                    "debian-3.11",
                    "3.11",
                    "/usr/bin/python3.11".into(),
                    "/".into(),
                ),
                interpreter(
                    "forky-3.14",
                    "3.14",
                    "/usr/bin/python3.14".into(),
                    setup::forky(),
                ),
            ],
            profiler,
            tests,
            programs: paths::workspace().join("tests/programs"),
        }
    }

    /// Interpreters that are not there.
    pub fn missing(&self) -> Vec<&'static str> {
        self.interpreters
            .iter()
            .filter(|one| {
                let inside = one.executable.strip_prefix("/").unwrap_or(&one.executable);
                !one.host_root.join(inside).exists()
            })
            .map(|one| one.name)
            .collect()
    }
}

/// The first process: mounts what the kernel offers, runs the tests, says how they ended, switches off.
pub fn script(guest: &Guest) -> String {
    let interpreters: Vec<String> = guest
        .interpreters
        .iter()
        .map(|one| format!("{}={}", one.name, one.executable.display()))
        .collect();
    let word = |path: &Path| shell::quote(&path.to_string_lossy());
    let ci = if env::var_os("CI").is_some() {
        " CI=1"
    } else {
        ""
    };
    format!(
        "#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8{ci}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
export PYPROF_BINARY={profiler} PYPROF_TEST_PROGRAMS={programs}
export PYPROF_TEST_INTERPRETERS={interpreters}
uname -r
{tests} --exact {names} --show-output --test-threads=1 2>&1
echo \"{STATUS}$?\"
# The kernel switches off at once, without a word; the output goes out first.
sleep 1
echo o > /proc/sysrq-trigger
sleep 60
",
        profiler = word(&guest.profiler),
        programs = word(&guest.programs),
        interpreters = shell::quote(&interpreters.join(",")),
        tests = word(&guest.tests),
        names = TESTS.join(" "),
    )
}
