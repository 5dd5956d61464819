//! `-- COMMAND`: launching what is profiled.

use std::{os::unix::fs::MetadataExt, process::Command};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{Failures, number},
    environment::{Turn, skip},
    interpreters::{self, Interpreter},
    profiler::{Profiler, Run},
    target,
};
use serde_json::Value;

const RATE_HZ: u32 = 999;
/// Debian's nobody.
const NOBODY: u32 = 65534;
/// CPU seconds of each child, and how many there are.
const CHILD: [&str; 2] = ["0.5", "6"];

fn launch(interpreter: &Interpreter, code: &str) -> Profiler {
    let mut command = interpreter.command();
    command.args(["-c", code]);
    Profiler::new()
        .args(["-r", &RATE_HZ.to_string()])
        .launching(&command)
}

/// Makes sure that the command's exit status becomes the profiler's, also where it fails or is killed.
#[test]
fn exit_status_is_passed_on() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    for (code, status) in [
        ("pass", 0),
        ("import sys; sys.exit(7)", 7),
        // As shells have it: 128 and the signal.
        ("import os; os.kill(os.getpid(), 9)", 137),
    ] {
        let run = launch(&interpreters::first()?, code).run()?;
        ensure!(
            run.status.code() == Some(status),
            "{code}: {}\n{}",
            run.status,
            run.stderr
        );
    }
    Ok(())
}

/// Makes sure that a command that cannot be run is a failure that says so.
#[test]
fn no_such_command() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let run = Profiler::new()
        .launching(&Command::new("/no/such/command"))
        .run()?;
    ensure!(run.status.code() == Some(1), "{}", run.status);
    ensure!(run.stderr.contains("/no/such/command"), "{}", run.stderr);
    Ok(())
}

/// Makes sure that the command's work is in the profile, on every interpreter, and that it runs to its end.
#[test]
fn the_command_is_profiled() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let code = "
import time
def work():
    while time.process_time() < 1:
        pass
work()
print('the end')
";
    let mut failures = Failures::new();
    for interpreter in interpreters::required()? {
        let checked = launch(&interpreter, code)
            .run()
            .and_then(Run::succeeded)
            .and_then(|run| {
                ensure!(
                    run.stdout.contains("the end"),
                    "standard output is {:?}",
                    run.stdout
                );
                let work = run.collapsed()?.samples_where(|stack| stack.has("work"));
                // The interpreter's start takes some of the second.
                ensure!(
                    work > u64::from(RATE_HZ) * 3 / 4,
                    "{work} samples of the work"
                );
                Ok(())
            });
        failures.expect(&interpreter.name, checked);
    }
    failures.finish()
}

/// Makes sure that a program that executes Python in its place is profiled from then on.
#[test]
fn a_shell_that_becomes_python() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let interpreter = interpreters::first()?;
    let mut command = Command::new("sh");
    command
        // Ends by itself, after more CPU time than is recorded: the profiler waits for its command.
        .args(["-c", "ulimit -t 4; exec \"$0\" \"$1\" 5"])
        .arg(&interpreter.executable)
        .arg(end_to_end::environment::programs().join("busy.py"));
    ensure!(
        interpreter.root.is_none(),
        "the first interpreter is in a root of its own"
    );
    let run = Profiler::new()
        .sampling(RATE_HZ, "3s")
        .launching(&command)
        .run()?;
    let share = run.collapsed()?.share_under("leaf");
    ensure!(share > 0.8, "the busy function has {share}\n{}", run.stderr);
    Ok(())
}

/// Makes sure that under sudo the command runs as the calling user, and that the files belong to that user.
#[test]
fn the_user_behind_sudo() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    // Other interpreters may lie where nobody cannot go.
    let Some(system) = interpreters::available()
        .into_iter()
        .find(|one| one.executable.starts_with("/usr/bin") && one.root.is_none())
    else {
        skip("no interpreter that every user can run");
        return Ok(());
    };
    let output = tempfile::tempdir()?;
    let file = output.path().join("out.txt");
    let run = launch(
        &system,
        "import os, time\nprint('ids', os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getgroups())\n\
         while time.process_time() < 0.3: pass",
    )
    .env("SUDO_UID", NOBODY.to_string())
    .env("SUDO_GID", NOBODY.to_string())
    .env("SUDO_USER", "nobody")
    .output(&file)
    .run()?
    .succeeded()?;
    let ids = format!("ids {NOBODY} {NOBODY} {NOBODY} {NOBODY} [{NOBODY}]");
    ensure!(run.stdout.contains(&ids), "{:?} is not {ids:?}", run.stdout);
    let metadata = file.metadata()?;
    ensure!(
        (metadata.uid(), metadata.gid()) == (NOBODY, NOBODY),
        "the file belongs to {}:{}",
        metadata.uid(),
        metadata.gid()
    );
    Ok(())
}

/// A run over a parent and its children: the run, and the CPU time that the children took.
fn children(interpreter: &Interpreter, how: &str, follow: bool) -> Result<(Run, f64)> {
    let mut command = target::command(interpreter, "short_children.py")?;
    command.arg(how).args(CHILD);
    let mut profiler = Profiler::new()
        .args(["-r", &RATE_HZ.to_string(), "--group-by", "process"])
        .launching(&command);
    if follow {
        profiler = profiler.arg("-s");
    }
    let run = profiler.run()?.succeeded()?;
    let said = run
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("result "))
        .context("the parent did not say what its children took")?;
    let cpu_s = serde_json::from_str::<Value>(said)?["cpu_s"]
        .as_f64()
        .context("no CPU time")?;
    Ok((run, cpu_s))
}

/// Makes sure that with `-s` children that are forked, and children that start an interpreter of their own, are
/// profiled with all but the little that they take until they are found; on every interpreter.
#[test]
fn children_are_followed() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for interpreter in interpreters::required()? {
        for how in ["forked", "started"] {
            let of = format!("{how} on {}", interpreter.name);
            let checked = children(&interpreter, how, true).and_then(|(run, cpu_s)| {
                let samples = run
                    .collapsed()?
                    .samples_where(|stack| stack.has("child_work"));
                let seen = number(samples) / f64::from(RATE_HZ) / cpu_s;
                // An interpreter's own start is not under `child_work`.
                ensure!(
                    seen > 0.85,
                    "{seen:.2} of the children's {cpu_s} s were seen"
                );
                Ok(())
            });
            failures.expect(of, checked);
        }
    }
    failures.finish()
}

/// Makes sure that without `-s` only the command itself is profiled.
#[test]
fn children_are_left_alone() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    for how in ["forked", "started"] {
        let (run, _) = children(&interpreters::first()?, how, false)?;
        let samples = run
            .collapsed()?
            .samples_where(|stack| stack.has("child_work"));
        ensure!(
            samples == 0,
            "{samples} samples of children that were {how}"
        );
    }
    Ok(())
}
