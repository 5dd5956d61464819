//! The command `record`, from checked flags to an exit status.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write, stderr},
    os::unix::net::UnixStream,
    process::ExitStatus,
    sync::{Arc, atomic::Ordering},
};

use signal_hook::{consts::signal, flag, low_level::pipe};

use super::{
    config::Config,
    destination::{Destination, NotWritable},
    matching,
};
use crate::{
    host::{self, permission},
    kernel::{Clock, KernelError},
    output::{self, summary},
    profile::model::Profile,
    recording::{self, Recording, command::Launched, discovery::Scope, selection, wait::Stop},
    ui::{progress, terminal},
};

/// Why there is no profile: a line that says it, and where there is something to do, one more that begins with `hint:`.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit status 1.
    #[error("{0}")]
    Failed(String),
    /// Exit status 3: not permitted, or the kernel cannot.
    #[error("{0}")]
    Refused(String),
    /// Exit status 4: nothing to profile was found.
    #[error("{0}")]
    NothingFound(String),
}

impl Failure {
    /// The exit status that it stands for.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Refused(_) => 3,
            Self::NothingFound(_) => 4,
        }
    }
}

impl From<NotWritable> for Failure {
    fn from(error: NotWritable) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<recording::Error> for Failure {
    fn from(error: recording::Error) -> Self {
        match error {
            recording::Error::Kernel(error) => error.into(),
            recording::Error::Launch { .. } => Self::Failed(error.to_string()),
            recording::Error::Selection(error) => error.into(),
            recording::Error::Uncounted => Self::Refused(format!(
                "{error}\nhint: to have it count takes Linux 5.8 and CAP_SYS_ADMIN: run it as root, or leave the flag away"
            )),
        }
    }
}

impl From<selection::Error> for Failure {
    fn from(error: selection::Error) -> Self {
        let text = output::text::printable(&error.to_string()).into_owned();
        match error {
            selection::Error::NoUser(unmatched) => {
                Self::NothingFound(format!("{text}; {}", matching::there_are(&unmatched)))
            }
            selection::Error::NoController { .. } => Self::Refused(text),
            selection::Error::Cgroups(_) | selection::Error::Senseless(_) => Self::Failed(text),
        }
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        let release = host::identity::kernel_release();
        let hint = match &error {
            KernelError::NoObject => return Self::Failed(error.to_string()),
            KernelError::Incomplete(_) => {
                return Self::Failed(format!("{error}\nhint: build it anew: cargo xtask build"));
            }
            KernelError::Cpus(_) => {
                "/sys/devices/system/cpu/online tells them: /sys has to be mounted".to_owned()
            }
            KernelError::Btf(_) => format!(
                "kernel {release} does not describe its types: a kernel built with CONFIG_DEBUG_INFO_BTF=y is needed, as distributions build theirs from 5.10 on"
            ),
            KernelError::Perf {
                clock: Clock::Cycles,
                ..
            } => "this machine may have no such counter: leave --event away".to_owned(),
            KernelError::Perf { .. } => format!(
                "kernel.perf_event_paranoid is {}; in a container, performance events may be forbidden by seccomp: allow perf_event_open, or run on the host",
                permission::paranoid()
                    .map_or_else(|| "unknown".to_owned(), |level| level.to_string())
            ),
            _ => format!("this is kernel {release}: Linux 5.10 or newer is needed"),
        };
        Self::Refused(format!("{error}\nhint: {hint}"))
    }
}

/// Records. The launched command's status, where there was one.
///
/// # Errors
/// Why there is no profile.
pub fn run(config: Config, words: &[OsString]) -> Result<Option<ExitStatus>, Failure> {
    permission::check().map_err(|denied| refused(&denied, words))?;
    if let Scope::These { pids, .. } = &config.scope {
        let mut missing: Vec<_> = pids
            .iter()
            .filter(|&&pid| !host::process::exists(pid))
            .collect();
        missing.sort_unstable();
        if let Some(pid) = missing.first() {
            return Err(Failure::NothingFound(format!("there is no process {pid}")));
        }
    }
    // Found out now, not after an hour of recording.
    let destination = Destination::open(config.output.as_deref())?;
    let stats = config
        .stats
        .as_deref()
        .map(|path| Destination::open(Some(path)))
        .transpose()?;
    let stop = stop_on_signals()
        .map_err(|error| Failure::Failed(format!("cannot handle signals: {error}")))?;

    let mut recording = Recording::begin(options(&config, words), &config.command)?;
    if config.verbose > 0 {
        for (program, instructions) in recording.verified_instructions() {
            say(&format!(
                "eBPF program `{program}`: {instructions} instructions verified"
            ));
        }
        say(&format!("the sampling clock: {}", recording.binding()));
    }
    recording.discover()?;
    if config.command.is_empty() && recording.has_nothing_to_wait_for() {
        return Err(nothing_found(&recording, &config.scope));
    }
    let is_watched = !config.quiet && stderr().is_terminal();
    if let Some(selection) = recording.selection() {
        if !config.quiet {
            matching::notes_at_start(selection, recording.profiled() > 0)
                .iter()
                .for_each(|note| say(note));
        }
    } else if is_watched && recording.profiled() == 0 && config.command.is_empty() {
        say("no Python process runs yet: waiting for one");
    }
    let mut line = progress::Line::new(!config.quiet, config.duration);
    let outcome = recording.run(&stop, line.refresh(), |recording| {
        line.show(|| recording.progress())
    });
    line.clear();
    outcome?;
    let mut recorded = recording.finish()?;
    let profile = recorded.profile;
    if let Some(selection) = &recorded.selection {
        if profile.processes.is_empty() && config.command.is_empty() {
            return Err(Failure::NothingFound(matching::nothing(selection)));
        }
        if !config.quiet {
            matching::notes_at_end(selection)
                .iter()
                .for_each(|note| say(note));
        }
    }
    if profile.processes.is_empty() && config.command.is_empty() {
        return Err(Failure::NothingFound(
            "no Python process was found: none ran while recording".into(),
        ));
    }
    write(&config, &profile, destination, stats)?;
    if !profile.ledger.balances() {
        say(
            "the ledger does not balance: this is a defect, please report it with the output of --stats",
        );
    }
    // From now on the first signal ends this program.
    stop.flag.store(true, Ordering::Relaxed);
    if is_watched && recorded.launched.as_mut().is_some_and(Launched::is_running) {
        say("waiting for the command to end");
    }
    recorded
        .launched
        .map(Launched::wait)
        .transpose()
        .map_err(|error| Failure::Failed(error.to_string()))
}

/// What is to be recorded; `words` is the command line.
fn options(config: &Config, words: &[OsString]) -> recording::Options {
    recording::Options {
        scope: config.scope.clone(),
        terms: config.terms.clone(),
        named: config.named.clone(),
        duration: config.duration,
        rate_hz: config.rate_hz,
        max_overhead: config.max_overhead,
        max_memory: config.max_memory,
        clock: config.clock,
        ring_bytes: config.ring_bytes,
        max_processes: config.max_processes,
        count_run_time: config.stats.is_some(),
        thread_names: config.show.shows_threads() || config.format == output::Format::Pprof,
        stop_after: None,
        command_line: words.join(" ".as_ref()).to_string_lossy().into_owned(),
    }
}

fn write(
    config: &Config,
    profile: &Profile,
    destination: Destination,
    stats: Option<Destination>,
) -> Result<(), Failure> {
    destination.write(|out| {
        output::write(profile, config.format, &config.show, out).map_err(io::Error::other)
    })?;
    if let Some(stats) = stats {
        stats.write(|out| output::stats::write(profile, out).map_err(io::Error::other))?;
    }
    if !config.quiet {
        let written = summary::Written {
            path: config.output.as_deref(),
            format: config.format,
        };
        let mut text = Vec::new();
        let columns = terminal::columns();
        if summary::write(profile, &config.show, Some(written), columns, &mut text).is_ok() {
            // Nothing is lost where standard error is closed: the profile is written.
            let _ = stderr().write_all(&text);
        }
    }
    Ok(())
}

/// SIGINT and SIGTERM give the order to stop; the second of them ends the program at once.
fn stop_on_signals() -> io::Result<Stop> {
    let (wakes, signals) = UnixStream::pair()?;
    let flag = Arc::default();
    for signal in [signal::SIGINT, signal::SIGTERM] {
        // In this order: the first signal finds the flag unset, passes, sets it, and wakes whoever waits.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))?;
        flag::register(signal, Arc::clone(&flag))?;
        pipe::register(signal, signals.try_clone()?)?;
    }
    Ok(Stop { flag, wakes })
}

fn refused(denied: &permission::Denied, words: &[OsString]) -> Failure {
    let line = words.join(" ".as_ref());
    let hint = match denied {
        permission::Denied::Capabilities(_) => {
            format!("run it as root: sudo {}", line.to_string_lossy())
        }
        permission::Denied::Lockdown(_) => {
            "boot with lockdown=integrity, or without Secure Boot, to profile".to_owned()
        }
        permission::Denied::Paranoid(_) => format!(
            "run it as root: sudo {}, or set sysctl kernel.perf_event_paranoid=2",
            line.to_string_lossy()
        ),
    };
    Failure::Refused(format!("{denied}\nhint: {hint}"))
}

/// Why nothing of what was asked for can be profiled.
fn nothing_found(recording: &Recording, scope: &Scope) -> Failure {
    if let Some((pid, reason)) = recording.refused().first() {
        // Paths may be in it, which are the process's own.
        let reason = output::text::printable(reason);
        return Failure::NothingFound(format!("process {pid} cannot be profiled: {reason}"));
    }
    let Scope::These { pids, .. } = scope else {
        return Failure::NothingFound("no Python process was found".into());
    };
    let mut pids: Vec<u32> = pids.iter().copied().collect();
    pids.sort_unstable();
    let names: Vec<String> = pids
        .iter()
        .map(|&pid| {
            format!(
                "{pid} ({})",
                output::text::for_terminal(&host::process::describe(pid).comm, 16)
            )
        })
        .collect();
    let text = match &names[..] {
        [one] => format!("process {one} is not a Python process"),
        many => format!(
            "none of the processes {} is a Python process",
            many.join(", ")
        ),
    };
    Failure::NothingFound(format!(
        "{text}\nhint: --subprocesses takes in its children, --all-python the whole host"
    ))
}

/// One line to the person at the terminal.
fn say(text: &str) {
    // Nobody to say it to is no error.
    let _ = writeln!(stderr(), "pyprof-ebpf: {text}");
}
