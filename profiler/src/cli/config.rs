//! Flags checked against each other.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::RecordFlags;
use crate::{
    kernel::Clock,
    output::{self, Format, Group},
    profile::budget::Budget,
    recording::{
        discovery::Scope,
        selection::{pattern, term::Term},
    },
};

/// What to do, without contradiction.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which processes are looked at.
    pub scope: Scope,
    /// Which of them are wanted; empty: all.
    pub terms: Vec<Term>,
    /// Which are wanted wherever they run, where terms say where.
    pub named: Scope,
    /// The command to launch; empty: none.
    pub command: Vec<OsString>,
    /// For how long; None: until told to stop, or until all targets have ended.
    pub duration: Option<Duration>,
    /// Samples per second and CPU.
    pub rate_hz: u64,
    /// What the profiler may spend itself; None: what it takes.
    pub max_overhead: Option<Budget>,
    /// What the profiler may take of memory (bytes).
    pub max_memory: u64,
    /// What the sampling event counts.
    pub clock: Clock,
    /// Bytes of each CPU's ring buffer; None: by the number of CPUs.
    pub ring_bytes: Option<u32>,
    /// Processes under profile at a time; None: as many as the host makes likely.
    pub max_processes: Option<u32>,
    /// Where to write; None: standard output.
    pub output: Option<PathBuf>,
    /// What to write.
    pub format: Format,
    /// How to show it.
    pub show: output::Options,
    /// Where to write the ledger; None: nowhere.
    pub stats: Option<PathBuf>,
    /// Neither progress nor summary.
    pub quiet: bool,
    /// How much more to say.
    pub verbose: u8,
}

/// Flags that do not go together; the text says which and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Contradiction(String);

impl Config {
    /// Checks the flags.
    ///
    /// # Errors
    /// Where they contradict each other, or no target is given.
    pub fn from_flags(flags: RecordFlags, now: SystemTime) -> Result<Self, Contradiction> {
        let refuse = |text: &str| Err(Contradiction(text.to_owned()));
        let terms = flags.filter.terms();
        check(&terms)?;
        let is_named = !flags.pid.is_empty() || !flags.command.is_empty();
        let says_where = terms
            .iter()
            .any(|term| term.kind.is_place() && !term.exclude);
        if !flags.all_python && !is_named && terms.is_empty() {
            return refuse(
                "nothing to profile is given: name --all-python, --pid PID, --cgroup PATH, --container NAME, --unit NAME, or a command after --",
            );
        }
        let named = Scope::These {
            pids: flags.pid.iter().copied().collect::<HashSet<_>>(),
            children: flags.subprocesses,
        };
        let scope = if flags.all_python || says_where || !is_named {
            Scope::All
        } else {
            named.clone()
        };
        if flags.all_python && !flags.pid.is_empty() {
            return refuse("--pid is already part of --all-python: name one of them");
        }
        if flags.all_python && flags.subprocesses {
            return refuse("--subprocesses is already part of --all-python: leave it away");
        }
        if flags.subprocesses && !is_named {
            return refuse(
                "--subprocesses is for --pid and commands, and the filters take in children by themselves: leave it away",
            );
        }
        if flags.function && flags.nolineno {
            return refuse(
                "--function and --nolineno contradict each other, as --function shows a function's first line: leave one of them away",
            );
        }
        if flags.quiet && flags.verbose > 0 {
            return refuse("--quiet and --verbose contradict each other: leave one of them away");
        }
        let output = flags.output.clone().filter(|path| path.as_os_str() != "-");
        let to_stdout = flags.output.is_some() && output.is_none();
        let format = match (flags.format, &output) {
            (Some(format), _) => format,
            (None, Some(path)) => match Format::from_path(path) {
                Some(format) => format,
                None => {
                    return refuse(&format!(
                        "cannot tell a format from `{}`: name one with --format, or an ending: .svg .txt .json .pb.gz",
                        path.display()
                    ));
                }
            },
            (None, None) => Format::default(),
        };
        if flags.flame && format != Format::Flamegraph {
            return refuse(
                "--flame is for flame graphs: leave it away or write --format flamegraph",
            );
        }
        let many = matches!(&scope, Scope::All) || flags.pid.len() > 1 || flags.subprocesses;
        let group_by = flags.group_by.unwrap_or_else(|| {
            if many {
                vec![Group::Process]
            } else {
                Vec::new()
            }
        });
        Ok(Self {
            scope,
            terms,
            named,
            command: flags.command,
            duration: flags.duration,
            rate_hz: flags.rate,
            max_overhead: flags.max_overhead,
            max_memory: flags.max_memory,
            clock: flags.event,
            ring_bytes: flags.ring_buffer,
            max_processes: flags.max_processes,
            output: if to_stdout {
                None
            } else {
                output.or_else(|| Some(default_output(format, now)))
            },
            format,
            show: output::Options {
                threads: flags.threads,
                group_by,
                function_only: flags.function,
                no_lines: flags.nolineno,
                full_filenames: flags.full_filenames,
                flame: flags.flame,
            },
            stats: flags.stats,
            quiet: flags.quiet,
            verbose: flags.verbose,
        })
    }
}

/// Checks the terms by themselves and against each other.
fn check(terms: &[Term]) -> Result<(), Contradiction> {
    pattern::check(terms).map_err(|error| Contradiction(error.to_string()))?;
    for term in terms.iter().filter(|term| !term.exclude) {
        let opposite = Term {
            exclude: true,
            ..term.clone()
        };
        if terms.contains(&opposite) {
            return Err(Contradiction(format!(
                "`{term}` and `{opposite}` contradict each other: leave one of them away"
            )));
        }
    }
    Ok(())
}

/// `pyprof-<time>.<ending>`, with the time in UTC so that files sort by it.
fn default_output(format: Format, now: SystemTime) -> PathBuf {
    let time = humantime::format_rfc3339_seconds(now)
        .to_string()
        .replace([':', '-'], "")
        .replace('T', "-");
    format!(
        "pyprof-{}.{}",
        time.trim_end_matches('Z'),
        format.extension()
    )
    .into()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{cli::Cli, recording::selection::term::Kind};

    fn config(words: &[&str]) -> Result<Config, String> {
        let cli = Cli::try_parse_from(std::iter::once(&"pyprof-ebpf").chain(words))
            .map_err(|error| error.to_string())?;
        Config::from_flags(cli.record, SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())
    }

    /// Makes sure that the defaults are those that the help states.
    #[test]
    fn defaults() {
        let config = config(&["--all-python"]).expect("a target is enough");
        assert_eq!(config.scope, Scope::All);
        assert_eq!(config.rate_hz, 99);
        assert_eq!(config.output, Some("pyprof-19700101-000000.svg".into()));
        assert_eq!(config.show.group_by, [Group::Process]);
    }

    /// Makes sure that the format follows the file's ending, and standard output keeps the default.
    #[test]
    fn format_follows_the_file() {
        assert_eq!(
            config(&["-p", "1", "-o", "a.pb.gz"]).map(|config| config.format),
            Ok(Format::Pprof)
        );
        assert_eq!(
            config(&["-p", "1", "-o", "-"]).map(|config| (config.format, config.output)),
            Ok((Format::Flamegraph, None))
        );
        assert!(config(&["-p", "1", "-o", "a.xyz"]).is_err_and(|error| error.contains("--format")));
    }

    /// Makes sure that contradictions are refused with what to do.
    #[test]
    fn contradictions() {
        for (words, hint) in [
            (&["-d", "1"][..], "--all-python"),
            (&["--all-python", "-p", "1"], "one of them"),
            (&["--all-python", "-s"], "leave it away"),
            (&["-p", "1", "-F", "--nolineno"], "leave one"),
            (
                &["-p", "1", "--flame", "-f", "pprof"],
                "--format flamegraph",
            ),
            (&["-p", "1", "-q", "-v"], "leave one"),
            (&["--unit", "a", "--exclude-unit", "a"], "leave one"),
            (&["--cgroup", "/a", "-s"], "leave it away"),
            (&["--all-python", "--comm", "a-name-of-16-byt"], "15 bytes"),
        ] {
            assert!(
                config(words).is_err_and(|error| error.contains(hint)),
                "{words:?}"
            );
        }
    }

    /// Makes sure that places are targets, which add up with others, and that what narrows down is none.
    #[test]
    fn filters_and_targets() {
        let these = |pids: &[u32], children| Scope::These {
            pids: pids.iter().copied().collect(),
            children,
        };
        for (words, scope, named) in [
            (&["--cgroup", "/a"][..], Scope::All, these(&[], false)),
            (
                &["--all-python", "--unit", "a"],
                Scope::All,
                these(&[], false),
            ),
            (&["--user", "root"], Scope::All, these(&[], false)),
            (&["--exclude-comm", "a*"], Scope::All, these(&[], false)),
            (
                &["-p", "1", "--comm", "a"],
                these(&[1], false),
                these(&[1], false),
            ),
            (
                &["-p", "1", "--exclude-cgroup", "/a"],
                these(&[1], false),
                these(&[1], false),
            ),
            (
                &["-p", "1", "-s", "--container", "a"],
                Scope::All,
                these(&[1], true),
            ),
        ] {
            let config = config(words).expect("they go together");
            assert_eq!((config.scope, config.named), (scope, named), "{words:?}");
        }
        let config =
            config(&["--user", "a", "--exclude-user", "b", "--user", "c"]).expect("they do");
        let words: Vec<_> = config.terms.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["--user a", "--user c", "--exclude-user b"]);
        assert!(config.terms.iter().all(|term| term.kind == Kind::User));
    }

    /// Makes sure that a command keeps its own flags.
    #[test]
    fn command_words_are_not_flags() {
        let config = config(&["-s", "--", "python3", "-d", "x.py"]).expect("it is a command");
        assert_eq!(config.command, ["python3", "-d", "x.py"]);
        assert_eq!(config.duration, None);
    }
}
