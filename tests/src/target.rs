//! A program of known truth, running under an interpreter.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{cgroups::Cgroup, environment, interpreters::Interpreter};

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Target {
    child: Child,
    /// How messages call it: program and interpreter.
    pub name: String,
    /// What the program said of itself when it was ready.
    pub facts: Value,
    lines: Receiver<String>,
}

impl Target {
    /// Starts a program of `tests/programs` and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not start, ends, or is not ready for a long time.
    pub fn start<I: AsRef<OsStr>>(
        interpreter: &Interpreter,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> Result<Self> {
        Self::spawn(interpreter, program, arguments)?.ready()
    }

    /// Starts a program that is in a cgroup from its first instruction on, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in<I: AsRef<OsStr>>(
        cgroup: &Cgroup,
        interpreter: &Interpreter,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> Result<Self> {
        let inside = command(interpreter, program)?;
        let [shell, words @ ..] = cgroup.enter();
        let mut command = Command::new(shell);
        command
            .args(words)
            .arg(inside.get_program())
            .args(inside.get_args())
            .args(arguments)
            .envs(
                inside
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        Self::of(&mut command, &format!("{program} in {}", cgroup.path))?.ready()
    }

    /// Starts a program and returns at once: its facts are not known yet.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn spawn<I: AsRef<OsStr>>(
        interpreter: &Interpreter,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> Result<Self> {
        let mut command = command(interpreter, program)?;
        command.args(arguments);
        Self::of(&mut command, &format!("{program} on {}", interpreter.name))
    }

    /// Any command as a target: one that says nothing, or what the programs say.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn of(command: &mut Command, name: &str) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        end_with_parent(command);
        keep_small_pages(command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let output = child.stdout.take().context("no standard output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            name: name.to_owned(),
            facts: Value::Null,
            lines,
        })
    }

    /// The process id on the host: chroot becomes the interpreter, so that it is the child's in any case.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that it is ready, and keeps what it says of itself then.
    ///
    /// # Errors
    /// Where it ends, or is not ready for a long time.
    pub fn ready(mut self) -> Result<Self> {
        self.facts = self.said("ready")?;
        Ok(self)
    }

    /// Waits for a line that begins with this word, and returns the JSON behind it.
    ///
    /// # Errors
    /// Where the program ends, or says nothing for a long time.
    pub fn said(&self, word: &str) -> Result<Value> {
        loop {
            let line =
                self.lines
                    .recv_timeout(environment::PATIENCE)
                    .map_err(|error| match error {
                        RecvTimeoutError::Timeout => anyhow::anyhow!("{}: not {word}", self.name),
                        RecvTimeoutError::Disconnected => {
                            anyhow::anyhow!("{}: ended before it was {word}", self.name)
                        }
                    })?;
            if let Some((first, json)) = line.split_once(' ')
                && first == word
            {
                return Ok(serde_json::from_str(json)?);
            }
        }
    }

    /// Gives the program a line to read.
    ///
    /// # Errors
    /// Where it does not read any more.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no standard input")?;
        writeln!(input, "{line}")?;
        Ok(())
    }

    /// Asks the program to end, and returns the result that it says then.
    ///
    /// # Errors
    /// Where it says none.
    pub fn finish(self) -> Result<Value> {
        self.signal(libc::SIGTERM)?;
        self.said("result")
    }

    /// Sends the program a signal.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&self, signal: i32) -> Result<()> {
        send_signal(self.pid(), signal)
    }

    /// Whether it neither ended nor was stopped.
    ///
    /// # Errors
    /// Where /proc does not tell.
    pub fn runs(&self) -> Result<bool> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The state follows the command in parentheses (proc(5)).
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        Ok(matches!(state, Some('R' | 'S' | 'D')))
    }

    /// A fact of this name.
    ///
    /// # Errors
    /// Where the program did not say it, or it has another form.
    pub fn fact<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self
            .facts
            .get(name)
            .with_context(|| format!("{} did not say {name}", self.name))?;
        Ok(serde_json::from_value(value.clone())?)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // A child that is not waited for keeps its id: this hits no other process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs a program of `tests/programs`.
///
/// # Errors
/// Where the programs cannot be copied into the interpreter's root.
pub fn command(interpreter: &Interpreter, program: &str) -> Result<Command> {
    let programs = interpreter.provide(&environment::programs())?;
    let mut command = interpreter.command();
    command
        .arg(programs.join(program))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1");
    Ok(command)
}

/// Has the kernel kill a child when the thread that started it ends, so that a test that is killed leaves
/// nothing behind.
fn end_with_parent(command: &mut Command) {
    // SAFETY: prctl is a system call and touches no memory of the process, so that it may run between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

/// Has the kernel leave the program's memory in small pages. Where huge ones are made of them, all of a region is away
/// while that lasts (`collapse_huge_page`, Linux mm/khugepaged.c): a thread that waits for it, or runs beside it, may
/// have its frames there, and its sample says that they cannot be read.
fn keep_small_pages(command: &mut Command) {
    // SAFETY: as in `end_with_parent`.
    unsafe {
        command.pre_exec(|| {
            // A kernel without huge pages refuses, and needs nothing.
            libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
            Ok(())
        });
    }
}

/// Sends a signal to one process.
///
/// # Errors
/// Where there is no such process, or the id is none.
pub fn send_signal(pid: u32, signal: i32) -> Result<()> {
    let pid = libc::pid_t::try_from(pid)?;
    ensure!(pid > 1, "no process to send signals to: {pid}");
    // SAFETY: kill touches no memory.
    if unsafe { libc::kill(pid, signal) } != 0 {
        bail!(
            "cannot send signal {signal} to {pid}: {}",
            std::io::Error::last_os_error()
        );
    }
    Ok(())
}
