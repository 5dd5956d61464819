//! Every error that a user can make or meet: its exit status, and a line that says what to do.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    environment::{self, Turn, skip},
    interpreters,
    target::Target,
};
use tempfile::TempDir;

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const NOT_PERMITTED: i32 = 3;
const NOTHING_FOUND: i32 = 4;

/// Longer than any test waits: an error that shows only after profiling is a test that fails.
const LONG: [&str; 2] = ["-d", "3600s"];

/// What the profiler said.
struct Said {
    status: Option<i32>,
    error: String,
}

impl Said {
    /// Checks status and words; a user's mistake is one line, and one that says what to do.
    fn is(&self, status: i32, words: &[&str]) -> Result<()> {
        self.has(status, words)?;
        let mut lines = self.error.trim_end().lines();
        ensure!(
            lines
                .next()
                .is_some_and(|line| line.starts_with("pyprof-ebpf: "))
                && lines.next().is_none_or(|line| line.starts_with("hint: "))
                && lines.next().is_none(),
            "not one line and a hint:\n{}",
            self.error
        );
        Ok(())
    }

    fn has(&self, status: i32, words: &[&str]) -> Result<()> {
        ensure!(
            self.status == Some(status),
            "{:?} is not {status}:\n{}",
            self.status,
            self.error
        );
        for word in words {
            ensure!(self.error.contains(word), "no {word:?} in:\n{}", self.error);
        }
        Ok(())
    }
}

/// Runs a command that must end by itself.
fn run(command: &mut Command) -> Result<Said> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let deadline = std::time::Instant::now() + environment::PATIENCE;
    while child.try_wait()?.is_none() {
        if std::time::Instant::now() > deadline {
            child.kill()?;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    Ok(Said {
        status: output.status.code(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The profiler with these arguments, in a directory of its own.
fn profiler(arguments: &[&str]) -> Result<Said> {
    let directory = TempDir::new()?;
    run(Command::new(environment::binary().canonicalize()?)
        .current_dir(directory.path())
        .args(arguments))
}

/// A copy of the profiler that every user can run, in a directory that every user can write to.
fn for_everybody() -> Result<TempDir> {
    let directory = TempDir::new()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777))?;
    let copy = directory.path().join("pyprof-ebpf");
    fs::copy(environment::binary(), &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// Makes sure that a user who is not root gets the line to type.
#[test]
fn not_root() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let directory = for_everybody()?;
    run(Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(directory.path().join("pyprof-ebpf"))
        .args(["--all-python", "-d", "3600s", "-r", "250"])
        .current_dir(directory.path()))?
    .is(NOT_PERMITTED, &["CAP_", "sudo ", "--all-python", "-r 250"])
}

/// Makes sure that root without the capability to load programs, as in a container, learns which one it lacks.
#[test]
fn missing_capability() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let directory = for_everybody()?;
    run(Command::new("setpriv")
        .args(["--bounding-set=-sys_admin,-bpf,-perfmon"])
        .arg(directory.path().join("pyprof-ebpf"))
        .args(["--all-python", "-d", "3600s"])
        .current_dir(directory.path()))?
    .is(NOT_PERMITTED, &["CAP_BPF"])
}

/// Makes sure that a process id that nobody has is said to be one.
#[test]
fn no_such_process() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut gone = Command::new("true").spawn()?;
    gone.wait()?;
    let pid = gone.id().to_string();
    profiler(&["-p", &pid, LONG[0], LONG[1]])?.is(NOTHING_FOUND, &["no process", &pid])
}

/// Makes sure that a process that is no Python is said to be none.
#[test]
fn not_a_python_process() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let sleep = Target::of(Command::new("sleep").arg("600"), "sleep")?;
    let pid = sleep.pid().to_string();
    profiler(&["-p", &pid, LONG[0], LONG[1]])?
        .is(NOTHING_FOUND, &["not a Python process", &pid, "sleep"])
}

/// Makes sure that Python 2.7 is refused by its version.
#[test]
fn python_2_7() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let Some(old) = interpreters::refused()
        .into_iter()
        .find(|one| one.executable.exists())
    else {
        skip("no Python 2.7: cargo xtask setup provides it");
        return Ok(());
    };
    let target = Target::of(
        old.command().args([
            "-c",
            "print('ready {}')\nimport sys\nsys.stdout.flush()\nwhile True: pass",
        ]),
        "Python 2.7",
    )?;
    target.said("ready")?;
    let pid = target.pid().to_string();
    profiler(&["-p", &pid, LONG[0], LONG[1]])?.is(NOTHING_FOUND, &["2.7", &pid])?;
    // Among others it is listed with the reason, and profiling goes on.
    let busy = Target::start(&interpreters::first()?, "busy.py", ["3"])?;
    let run = end_to_end::profiler::Profiler::of([&target, &busy], 99, "2s")
        .run()?
        .succeeded()?;
    let stats = run.stats()?;
    let status = &stats.process(target.pid())?.status;
    ensure!(status.contains("2.7"), "the ledger says {status:?}");
    ensure!(
        run.stderr.contains("2.7"),
        "the summary does not say it:\n{}",
        run.stderr
    );
    ensure!(stats.process(busy.pid())?.status == "profiled");
    Ok(())
}

/// Makes sure that a host without any Python process is said to be one. What Python processes there are is hidden:
/// in a mount namespace of its own an empty directory stands over /proc/PID of each.
#[test]
fn no_python_found() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let empty = TempDir::new()?;
    let mut hide = String::from("set -e\n");
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        if maps_python(&path) {
            hide += &format!(
                "mount --bind {} {}\n",
                empty.path().display(),
                path.display()
            );
        }
    }
    run(Command::new("unshare")
        .args(["--mount", "sh", "-c", &format!("{hide}exec \"$0\" \"$@\"")])
        .arg(environment::binary().canonicalize()?)
        .args(["--all-python", "-d", "1s"])
        .current_dir(empty.path()))?
    .is(NOTHING_FOUND, &["no Python process"])
}

/// Whether a process, given by its directory in /proc, might be Python: by names, generously.
fn maps_python(process: &Path) -> bool {
    fs::read(process.join("maps"))
        .is_ok_and(|maps| String::from_utf8_lossy(&maps).contains("python"))
}

/// Makes sure that an output that cannot be written is found before profiling, not after.
#[test]
fn output_not_writable() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let directory = TempDir::new()?;
    let busy = Target::start(&interpreters::first()?, "busy.py", ["3"])?;
    let pid = busy.pid().to_string();
    let missing = directory.path().join("no/such/directory/out.svg");
    for path in [
        missing.as_path(),
        Path::new("/proc/out.svg"),
        directory.path(),
    ] {
        let path = path.to_string_lossy();
        profiler(&["-p", &pid, LONG[0], LONG[1], "-f", "pprof", "-o", &path])?
            .is(FAILED, &["write", &path])?;
        profiler(&["-p", &pid, LONG[0], LONG[1], "--stats", &path])?
            .is(FAILED, &["write", &path])?;
    }
    Ok(())
}

/// Makes sure that usage errors have their own status, and say what is wrong with which argument.
#[test]
fn wrong_usage() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    for (arguments, words) in [
        (&[][..], &["--all-python", "--pid"][..]),
        (&["--no-such-flag"], &["--no-such-flag"]),
        (&["-p", "12x"], &["12x"]),
        (&["--all-python", "-r", "0"], &["-r", "0"]),
        (&["--all-python", "-r", "many"], &["many"]),
        (&["--all-python", "-d", "soon"], &["soon"]),
        (&["--all-python", "-f", "gif"], &["gif", "collapsed"]),
        (
            &["--all-python", "-o", "profile.gif"],
            &["profile.gif", "-f"],
        ),
        (&["--all-python", "-q", "-v"], &["-q", "-v"]),
        (
            &["--all-python", "--flame", "-f", "pprof"],
            &["--flame", "flamegraph"],
        ),
    ] {
        profiler(arguments)?
            .has(USAGE, words)
            .with_context(|| format!("{arguments:?}"))?;
    }
    Ok(())
}
