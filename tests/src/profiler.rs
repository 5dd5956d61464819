//! Running the profiler, and what came of it.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    bpf,
    collapsed::Collapsed,
    environment::{self, PATIENCE},
    stats::Stats,
    target::{Target, send_signal},
};

/// A command line of the profiler. Output goes to a directory of its own, in the collapsed format with the
/// ledger beside it, unless said otherwise.
#[derive(Debug)]
pub struct Profiler {
    wrapper: Vec<OsString>,
    arguments: Vec<OsString>,
    launched: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    format: &'static str,
    output: Option<PathBuf>,
}

impl Default for Profiler {
    fn default() -> Self {
        Self::new()
    }
}

impl Profiler {
    /// No arguments but where output goes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            wrapper: Vec::new(),
            arguments: Vec::new(),
            launched: Vec::new(),
            environment: Vec::new(),
            format: "collapsed",
            output: None,
        }
    }

    /// Profiles these targets, at this rate (Hz, or as the command line has it), for this long.
    #[must_use]
    pub fn of<'a>(
        targets: impl IntoIterator<Item = &'a Target>,
        rate: impl ToString,
        duration: &str,
    ) -> Self {
        let pids: Vec<String> = targets
            .into_iter()
            .map(|one| one.pid().to_string())
            .collect();
        Self::new()
            .args(["-p", &pids.join(","), "--group-by", "process"])
            .sampling(rate, duration)
    }

    /// Profiles every Python process, at this rate (Hz), for this long.
    #[must_use]
    pub fn of_all(rate: impl ToString, duration: &str) -> Self {
        Self::new().arg("--all-python").sampling(rate, duration)
    }

    /// Adds rate (Hz) and duration.
    #[must_use]
    pub fn sampling(self, rate: impl ToString, duration: &str) -> Self {
        self.args(["-r", &rate.to_string(), "-d", duration])
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = I>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Has the profiler launch a command: what follows `--`.
    #[must_use]
    pub fn launching(mut self, command: &Command) -> Self {
        self.launched = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(OsStr::to_owned)
            .collect();
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Runs the profiler by another program: `setpriv ... pyprof-ebpf ...`.
    #[must_use]
    pub fn under<I: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = I>) -> Self {
        self.wrapper = wrapper
            .into_iter()
            .map(|word| word.as_ref().to_owned())
            .collect();
        self
    }

    /// Another format than collapsed.
    #[must_use]
    pub fn format(mut self, format: &'static str) -> Self {
        self.format = format;
        self
    }

    /// Writes to this file in place of one in the run's own directory.
    #[must_use]
    pub fn output(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Some(path.into());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(self) -> Result<Running> {
        let directory = TempDir::new()?;
        let output = self
            .output
            .unwrap_or_else(|| directory.path().join("profile"));
        let mut words = self.wrapper;
        words.push(environment::binary().into());
        words.extend(self.arguments);
        words.extend(["-f".into(), self.format.into()]);
        words.extend(["-o".into(), output.clone().into()]);
        words.extend(["--stats".into(), directory.path().join("stats.json").into()]);
        if !self.launched.is_empty() {
            words.push("--".into());
            words.extend(self.launched);
        }
        let words_shown = words.join(OsStr::new(" ")).to_string_lossy().into_owned();
        let (program, arguments) = words.split_first().context("no command")?;
        let programs_before = bpf::programs().unwrap_or_default();
        let mut child = Command::new(program)
            .args(arguments)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {words_shown}"))?;
        Ok(Running {
            stdout: read(child.stdout.take().context("no standard output")?),
            stderr: read(child.stderr.take().context("no standard error")?),
            child,
            words: words_shown,
            collapsed: self.format == "collapsed",
            output,
            directory,
            programs_before,
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Where it does not start or end, panics, or leaves a ledger that does not balance. Its exit status is
    /// not looked at: [`Run::succeeded`].
    pub fn run(self) -> Result<Run> {
        self.start()?.wait()
    }
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // An error ends the text where it is.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The profiler at work. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    words: String,
    collapsed: bool,
    output: PathBuf,
    directory: TempDir,
    programs_before: BTreeSet<u32>,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until its programs are in the kernel and had a moment to sample.
    ///
    /// # Errors
    /// Where it ends before, or takes very long.
    pub fn until_sampling(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while bpf::programs()?.is_subset(&self.programs_before) {
            ensure!(Instant::now() < deadline, "{}: loads nothing", self.words);
            if let Some(status) = self.child.try_wait()? {
                bail!("{}: ended with {status} before it sampled", self.words);
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Other programs are loaded, and processes looked through; on a busy machine that takes a while.
        thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&self, signal: i32) -> Result<()> {
        send_signal(self.pid(), signal)
    }

    /// Ends it by Ctrl-C, and waits for its end.
    ///
    /// # Errors
    /// As [`Profiler::run`], and where it fails.
    pub fn interrupted(self) -> Result<Run> {
        self.signal(libc::SIGINT)?;
        self.wait()?.succeeded()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// As [`Profiler::run`].
    pub fn wait(mut self) -> Result<Run> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
                bail!("{}: does not end", self.words);
            }
            thread::sleep(Duration::from_millis(20));
        };
        let text = |thread: JoinHandle<String>| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a reader panicked"))
        };
        let run = Run {
            status,
            words: self.words,
            stdout: text(self.stdout)?,
            stderr: text(self.stderr)?,
            stats: ledger(&self.directory.path().join("stats.json"))?,
            output: self.output,
            _directory: self.directory,
        };
        run.check(self.collapsed)
            .with_context(|| format!("{}\n{}", run.words, run.stderr))?;
        Ok(run)
    }
}

fn ledger(path: &Path) -> Result<Option<Stats>> {
    // Opened before recording and written after: a run that was killed leaves it empty.
    match fs::read_to_string(path) {
        Ok(text) if !text.is_empty() => Stats::parse(&text).map(Some),
        _ => Ok(None),
    }
}

/// A run that ended.
#[derive(Debug)]
pub struct Run {
    /// Its exit status.
    pub status: ExitStatus,
    /// The command line, for messages.
    pub words: String,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    stats: Option<Stats>,
    output: PathBuf,
    _directory: TempDir,
}

impl Run {
    /// This run, where its exit status is 0.
    ///
    /// # Errors
    /// Where it is another; what was said then is in the error.
    pub fn succeeded(self) -> Result<Self> {
        ensure!(
            self.status.success(),
            "{}: {}\n{}",
            self.words,
            self.status,
            self.stderr
        );
        Ok(self)
    }

    /// The ledger.
    ///
    /// # Errors
    /// Where none was written.
    pub fn stats(&self) -> Result<&Stats> {
        self.stats
            .as_ref()
            .with_context(|| format!("{}: no ledger\n{}", self.words, self.stderr))
    }

    /// Whether an output file is there.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.output.exists()
    }

    /// The output file's bytes.
    ///
    /// # Errors
    /// Where there is none.
    pub fn output(&self) -> Result<Vec<u8>> {
        fs::read(&self.output)
            .with_context(|| format!("{}: no output\n{}", self.words, self.stderr))
    }

    /// The output file, of a run in the collapsed format.
    ///
    /// # Errors
    /// Where there is none, or it has not that format.
    pub fn collapsed(&self) -> Result<Collapsed> {
        Collapsed::parse(std::str::from_utf8(&self.output()?)?)
    }

    /// What holds of every run.
    fn check(&self, collapsed: bool) -> Result<()> {
        ensure!(
            !self.stderr.contains("panicked at") && !self.stderr.contains("backtrace"),
            "the profiler panicked or shows a backtrace"
        );
        let Some(stats) = &self.stats else {
            return Ok(());
        };
        stats.check_balance()?;
        if collapsed && self.output.is_file() {
            let samples = self.collapsed()?.samples();
            ensure!(
                samples == stats.samples.delivered,
                "{samples} samples in the file, {} delivered",
                stats.samples.delivered
            );
        }
        Ok(())
    }
}
