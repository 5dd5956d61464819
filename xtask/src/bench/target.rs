//! The Python programs that are profiled.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::interpreter::{Interpreter, USUAL};
use crate::{paths, shell};

/// Where a program lies.
fn program(name: &str) -> PathBuf {
    paths::workspace().join("xtask/programs").join(name)
}

/// One of our programs, to be run by the interpreter that all the profilers compared know.
pub fn python(name: &str) -> Result<Command> {
    let mut command = USUAL.command()?;
    command.arg(program(name)).stdin(Stdio::null());
    shell::dies_with_us(&mut command);
    Ok(command)
}

/// How deep a busy thread is, in frames, unless said otherwise.
pub const FRAMES: u32 = 30;

/// Whose frames a busy thread's are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Functions {
    /// Of one function that calls itself.
    One,
    /// Each of a function of its own.
    Each,
}

/// One busy thread, which counts its rounds.
pub struct Busy {
    child: Child,
    counter: PathBuf,
}

impl Busy {
    /// Starts it, and waits until it counts.
    pub fn start(directory: &Path) -> Result<Self> {
        let busy = Self::spawn(directory)?;
        busy.until_it_counts()?;
        Ok(busy)
    }

    /// Starts it.
    pub fn spawn(directory: &Path) -> Result<Self> {
        Self::spawn_with(USUAL, FRAMES, Functions::One, directory)
    }

    /// Starts one of so many frames on an interpreter, and waits until it counts.
    pub fn start_with(
        interpreter: Interpreter,
        frames: u32,
        functions: Functions,
        directory: &Path,
    ) -> Result<Self> {
        let busy = Self::spawn_with(interpreter, frames, functions, directory)?;
        busy.until_it_counts()?;
        Ok(busy)
    }

    fn spawn_with(
        interpreter: Interpreter,
        frames: u32,
        functions: Functions,
        directory: &Path,
    ) -> Result<Self> {
        let counter = directory.join("counter");
        fs::write(&counter, [0; 8])?;
        let mut command = interpreter.command()?;
        // The program and its counter are given by descriptor: the interpreter may be in another root.
        command
            .args(["-", &frames.to_string()])
            .args((functions == Functions::Each).then_some("distinct"))
            .stdin(File::open(program("deep.py"))?)
            .stdout(File::options().write(true).open(&counter)?);
        let child = shell::dies_with_us(&mut command).spawn();
        Ok(Self {
            child: child.with_context(|| format!("cannot run CPython {}", interpreter.name()))?,
            counter,
        })
    }

    /// Has it take only the time that nobody else wants: where many are busy, a profiler would hardly get to begin.
    pub fn give_way(&self) -> Result<()> {
        // SAFETY: setpriority touches no memory; the process is our own child.
        if unsafe { libc::setpriority(libc::PRIO_PROCESS, self.child.id(), 19) } != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        Ok(())
    }

    /// Waits until it counts.
    pub fn until_it_counts(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while self.rounds()? == 0 {
            ensure!(Instant::now() < end, "the busy program does not count");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Rounds so far.
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

/// A process that sleeps, under another name than interpreters have.
pub struct Sleeper {
    child: Child,
}

impl Sleeper {
    /// Starts it, and gives it time to fall asleep.
    pub fn start() -> Result<Self> {
        let mut command = USUAL.command()?;
        command.args([
            "-c",
            "import time; open('/proc/self/comm', 'w').write('sleeper'); time.sleep(1e6)",
        ]);
        let child = shell::dies_with_us(&mut command)
            .stdin(Stdio::null())
            .spawn()?;
        thread::sleep(Duration::from_secs(1));
        Ok(Self { child })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Mostly idle children of one parent.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many.
    pub children: u32,
    /// How many of them are executed anew; the others are forked.
    pub executed: u32,
    /// How many threads they have besides their first ones, in all.
    pub threads: u32,
    /// How often each thread wakes to do little.
    pub pause: Duration,
}

/// A parent with mostly idle children.
pub struct Idle {
    child: Child,
}

impl Idle {
    /// Starts it, and one child more that tells the time by its functions' names where `clock` is set. Waits
    /// until all run and have come to rest.
    pub fn start(crowd: Crowd, clock: bool) -> Result<Self> {
        let mut command = python("idle.py")?;
        command
            .arg(crowd.children.to_string())
            .args(["--executed", &crowd.executed.to_string()])
            .args(["--threads", &crowd.threads.to_string()])
            .args(["--pause", &crowd.pause.as_secs_f64().to_string()])
            .args(clock.then_some("--clock"))
            .stdout(Stdio::piped());
        // A process group of their own, so that all of them can be ended.
        let child = command.process_group(0).spawn();
        let mut idle = Self {
            child: child.context("no CPython 3.12.1: run cargo xtask setup")?,
        };
        let output = idle.child.stdout.take().context("it has no output")?;
        // It ends with the program, whatever becomes of it.
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "the idle program says {line:?}");
        // Those that are executed anew take their time.
        thread::sleep(Duration::from_secs(2) + Duration::from_millis(20) * crowd.executed);
        Ok(idle)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        end_group(&mut self.child);
    }
}

/// How a storm's children are started.
#[derive(Clone, Copy, Debug)]
pub enum Birth {
    Forked,
    Executed,
}

/// A parent that starts many children, one after the other.
pub struct Storm {
    child: Child,
}

/// What the parent says in the end.
#[derive(Clone, Copy, Debug)]
pub struct Storms {
    /// How many children there were.
    pub children: f64,
    /// CPU time that the kernel accounts to them, in seconds.
    pub cpu_s: f64,
}

impl Storm {
    /// Starts the parent, which waits for [`Self::begin`].
    pub fn start(seconds: u64, rate: u32, birth: Birth) -> Result<Self> {
        let mut command = python("storm.py")?;
        command
            .args([seconds.to_string(), rate.to_string()])
            .arg(match birth {
                Birth::Forked => "forked",
                Birth::Executed => "executed",
            })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = command.process_group(0).spawn();
        let storm = Self {
            child: child.context("no CPython 3.12.1: run cargo xtask setup")?,
        };
        thread::sleep(Duration::from_secs(1));
        Ok(storm)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it begin, and waits until all children have ended.
    pub fn run(&mut self) -> Result<Storms> {
        // Its end is the line's end.
        let mut input = self.child.stdin.take().context("it runs already")?;
        input.write_all(b"\n")?;
        let output = self.child.stdout.take().context("it runs already")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let numbers: Vec<f64> = line.split_whitespace().flat_map(str::parse).collect();
        match numbers[..] {
            [children, cpu_s] => Ok(Storms { children, cpu_s }),
            _ => bail!("the storm says {line:?}"),
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        end_group(&mut self.child);
    }
}

/// Ends a child that leads a process group, and all of that group.
fn end_group(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // SAFETY: kill touches no memory; the group is that of our own child, which has not been waited for.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    end(child);
}

fn end(child: &mut Child) {
    // Both fail only where it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}
