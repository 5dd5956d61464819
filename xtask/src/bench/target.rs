//! The Python programs that are profiled.

use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{paths, shell};

/// An interpreter that all the profilers compared know.
const PYTHON: &str = "versions/3.12.1/bin/python3.12";

fn python(program: &str) -> Command {
    let mut command = Command::new(paths::pyenv().join(PYTHON));
    command
        .arg(paths::workspace().join("xtask/programs").join(program))
        .stdin(Stdio::null());
    shell::dies_with_us(&mut command);
    command
}

/// One busy thread, which counts its rounds.
pub struct Busy {
    child: Child,
    counter: PathBuf,
}

impl Busy {
    /// Starts it, and waits until it counts.
    pub fn start(directory: &std::path::Path) -> Result<Self> {
        let counter = directory.join("counter");
        fs::write(&counter, [0; 8])?;
        let child = python("deep.py").arg(&counter).spawn();
        let busy = Self {
            child: child.context("no CPython 3.12.1: run cargo xtask setup")?,
            counter,
        };
        let end = Instant::now() + Duration::from_secs(10);
        while busy.rounds()? == 0 {
            ensure!(Instant::now() < end, "the busy program does not count");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(busy)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Rounds so far. The program writes through a mapping: the file has it at once.
    pub fn rounds(&self) -> Result<u64> {
        let mut bytes = [0; 8];
        File::open(&self.counter)?.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A parent with mostly idle children.
pub struct Idle {
    child: Child,
}

impl Idle {
    /// Starts it with that many children, and one more that tells the time by its functions' names where `clock` is set.
    pub fn start(children: u32, clock: bool) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut command = python("idle.py");
        command
            .arg(children.to_string())
            .args(clock.then_some("clock"));
        // A process group of their own, so that all of them can be ended.
        let child = command.process_group(0).spawn();
        let idle = Self {
            child: child.context("no CPython 3.12.1: run cargo xtask setup")?,
        };
        thread::sleep(Duration::from_secs(2));
        Ok(idle)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            // SAFETY: kill touches no memory; the group is that of our own child, which has not been waited for.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // Both fail only where it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}
