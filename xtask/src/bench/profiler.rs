//! The profilers compared: how each is started, and how many samples it says it took.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{
    interpreter::{Interpreter, by_newer_loader},
    mojo,
};
use crate::{setup, shell};

/// What to profile.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// One process.
    Process(u32),
    /// A process and its children; our own profiler looks for all of Python, these among it.
    Family(u32),
    /// What is in a cgroup: our own profiler alone.
    Cgroup(&'a str),
    /// A process that a filter leaves out by its name, and one beside it that the filter lets pass: our own profiler
    /// alone.
    LeftOut { process: u32, beside: u32 },
    /// All of the host: our own profiler alone.
    Host,
}

/// A profiler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profiler {
    Ours,
    PySpy,
    Austin,
    /// CPython 3.15's own sampler.
    Tachyon,
}

/// Those that take any version.
pub const ALL: [Profiler; 3] = [Profiler::Ours, Profiler::Austin, Profiler::PySpy];

/// A profiler at work.
pub struct Run {
    profiler: Profiler,
    child: Child,
    /// Where it writes what: the profile, our `--stats`, and its messages.
    directory: PathBuf,
}

impl Profiler {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "pyprof-ebpf",
            Self::PySpy => "py-spy 0.4.3",
            Self::Austin => "austin 4.0.0",
            Self::Tachyon => "profiling.sampling of 3.15",
        }
    }

    /// Starts it for that many seconds.
    pub fn start(
        self,
        binary: &Path,
        target: Target<'_>,
        rate_hz: u32,
        seconds: u64,
        directory: &Path,
    ) -> Result<Run> {
        ensure!(
            self == Self::Ours || matches!(target, Target::Process(_) | Target::Family(_)),
            "{} cannot have {target:?} as its target",
            self.name()
        );
        let mut command = match self {
            Self::Ours => ours(binary, target),
            Self::PySpy => py_spy(target),
            Self::Austin => austin(target),
            Self::Tachyon => tachyon(target)?,
        };
        match self {
            Self::Ours | Self::PySpy | Self::Tachyon => {
                command.args(["-r", &rate_hz.to_string(), "-d", &seconds.to_string()])
            }
            Self::Austin => {
                let interval = format!("{}us", 1_000_000 / rate_hz);
                command.args(["-i", &interval, "-x", &seconds.to_string()])
            }
        };
        match self {
            Self::Ours => {
                command.args(["-f", "collapsed", "--stats"]);
                command.arg(directory.join("stats"));
            }
            Self::PySpy => {
                command.args(["-f", "raw"]);
            }
            Self::Austin => {}
            Self::Tachyon => {
                command.arg("--collapsed");
            }
        }
        let messages = File::create(directory.join("messages"))?;
        let child = shell::dies_with_us(&mut command)
            .arg("-o")
            .arg(directory.join("profile"))
            .stdin(Stdio::null())
            .stdout(messages.try_clone()?)
            .stderr(messages)
            .spawn()
            .with_context(|| format!("cannot run {}", shell::display(&command)))?;
        Ok(Run {
            profiler: self,
            child,
            directory: directory.to_owned(),
        })
    }

    /// The time that a profile attributes to processes other than `parent`, in seconds: by our own `--stats`, and by
    /// what the others write.
    pub fn others_s(self, directory: &Path, parent: u32, rate_hz: u32) -> Result<f64> {
        if self == Self::Ours {
            let stats: Value = serde_json::from_slice(&fs::read(directory.join("stats"))?)?;
            let processes = stats["processes"].as_array().context("no processes")?;
            return Ok(processes
                .iter()
                .filter(|process| process["ppid"] == parent)
                .filter_map(|process| process["sampled_s"].as_f64())
                .sum());
        }
        let profile = Run::profile(directory)?;
        if self == Self::Austin {
            let times = mojo::times(&profile);
            let others = times.iter().filter(|&(&pid, _)| pid != u64::from(parent));
            return Ok(others.map(|(_, &us)| us as f64 / 1e6).sum());
        }
        Ok(others(&String::from_utf8_lossy(&profile), parent) / f64::from(rate_hz))
    }
}

fn ours(binary: &Path, target: Target<'_>) -> Command {
    let mut command = Command::new(binary);
    match target {
        Target::Process(pid) => command.args(["-p", &pid.to_string()]),
        Target::Family(_) | Target::Host => command.arg("--all-python"),
        Target::Cgroup(path) => command.args(["--cgroup", path]),
        Target::LeftOut { process, beside } => command
            .args(["-p", &format!("{process},{beside}")])
            .args(["--exclude-comm", "python*"]),
    };
    command
}

fn py_spy(target: Target<'_>) -> Command {
    let mut command = Command::new(setup::peers_path().join("bin/py-spy"));
    command.arg("record");
    match target {
        Target::Process(pid) => command.args(["-p", &pid.to_string()]),
        Target::Family(pid) => command.args(["--subprocesses", "-p", &pid.to_string()]),
        Target::Cgroup(_) | Target::LeftOut { .. } | Target::Host => &mut command,
    };
    command
}

/// It is linked against a newer libc than most hosts have.
fn austin(target: Target<'_>) -> Command {
    let mut command = by_newer_loader();
    command
        .arg(setup::peers_path().join("bin/austin"))
        // On-CPU stacks only, as the other two.
        .arg("-c");
    match target {
        Target::Process(pid) => command.args(["-p", &pid.to_string()]),
        Target::Family(pid) => command.args(["-C", "-p", &pid.to_string()]),
        Target::Cgroup(_) | Target::LeftOut { .. } | Target::Host => &mut command,
    };
    command
}

fn tachyon(target: Target<'_>) -> Result<Command> {
    let mut command = Interpreter::Loaded("3.15").command()?;
    command.args(["-m", "profiling.sampling", "attach"]);
    match target {
        Target::Process(pid) => {
            command.arg(pid.to_string());
            Ok(command)
        }
        _ => bail!("CPython's own sampler takes one process"),
    }
}

impl Run {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; returns how many samples it says it took.
    pub fn finish(mut self) -> Result<u64> {
        let status = self.child.wait()?;
        let messages = fs::read(self.directory.join("messages"))?;
        let messages = String::from_utf8_lossy(&messages);
        // austin's status is 254 even where all went well.
        ensure!(
            status.success() || self.profiler == Profiler::Austin,
            "{} ended with {status}: {messages}",
            self.profiler.name()
        );
        let samples = match self.profiler {
            Profiler::Ours => {
                let stats: Value =
                    serde_json::from_slice(&fs::read(self.directory.join("stats"))?)?;
                stats["samples"]["delivered"].as_u64()
            }
            // "Captured 2000 samples in 2.00 seconds"
            Profiler::Tachyon => number_after(&messages, "Captured "),
            // "Samples: 2999 Errors: 0"
            Profiler::PySpy => number_after(&messages, "Samples: "),
            // "Error rate . . . 0/2636", with escapes for colour between.
            Profiler::Austin => messages
                .split_once("Error rate")
                .and_then(|(_, rest)| number_after(rest, "/")),
        };
        samples
            .with_context(|| format!("{} does not say how many: {messages}", self.profiler.name()))
    }

    /// How many processes our own profiler says were under profile; 0 for the others.
    pub fn profiled(directory: &Path) -> usize {
        let stats = fs::read(directory.join("stats")).unwrap_or_default();
        let stats: Value = serde_json::from_slice(&stats).unwrap_or_default();
        let processes = stats["processes"].as_array();
        processes.map_or(0, |all| {
            all.iter()
                .filter(|process| process["status"] == "profiled")
                .count()
        })
    }

    /// The profile that it wrote.
    pub fn profile(directory: &Path) -> Result<Vec<u8>> {
        fs::read(directory.join("profile")).context("no profile was written")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The samples of processes other than `parent` in py-spy's output, where a stack begins with the process and those
/// that it descends from: `process 1:"python x y";process 2:"python z";main (z.py:3) 5`.
fn others(profile: &str, parent: u32) -> f64 {
    let of = |line: &str| {
        let (stack, count) = line.rsplit_once(' ')?;
        let at = stack.rfind(";process ").map_or(0, |at| at + 1);
        let pid = number_after(stack.get(at..)?, "process ")?;
        (pid != u64::from(parent)).then(|| count.parse::<f64>().ok())?
    };
    profile.lines().filter_map(of).sum()
}

fn number_after(text: &str, mark: &str) -> Option<u64> {
    let (_, rest) = text.split_once(mark)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::others;

    /// Samples of a parent's children are those whose stacks name a child last.
    #[test]
    fn samples_of_others() {
        let profile = "process 7:\"python x\";process 8:\"python x y\";a 2\nprocess 7:\"python x\";a 3\nb 9\n";
        assert!((others(profile, 7) - 2.0).abs() < f64::EPSILON);
    }
}
