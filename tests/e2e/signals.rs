//! Ctrl-C, SIGTERM, and being killed.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    bpf,
    environment::{self, PATIENCE, Turn},
    interpreters,
    profiler::Profiler,
    target::{Target, send_signal},
};

fn busy(program: &str) -> Result<Target> {
    Target::start(&interpreters::last()?, program, [] as [&str; 0])
}

/// Makes sure that Ctrl-C and SIGTERM end the recording, and that all of it is written.
#[test]
fn asked_to_end() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let target = busy("busy.py")?;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut running = Profiler::new()
            .args(["-p", &target.pid().to_string(), "-r", "999"])
            .start()?;
        running.until_sampling()?;
        running.signal(signal)?;
        let run = running.wait()?.succeeded()?;
        let share = run.collapsed()?.share_under("leaf");
        ensure!(
            share == 1.0,
            "signal {signal}: the busy function has {share}"
        );
        let stats = run.stats()?;
        ensure!(
            stats.samples.delivered > 100,
            "signal {signal}: {:?}",
            stats.samples
        );
    }
    Ok(())
}

/// Makes sure that a second Ctrl-C ends the program at once, where it is still writing: to a pipe that nobody reads.
#[test]
fn a_second_ctrl_c() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    // Hundreds of long stacks: more than a pipe holds (64 KiB).
    let target = busy("line_sites.py")?;
    let before = bpf::programs()?;
    let mut child = Command::new(environment::binary())
        .args(["-p", &target.pid().to_string(), "-r", "999"])
        .args(["-f", "speedscope", "-o", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = child.id();
    let outcome = (|| {
        until(|| Ok(!bpf::programs()?.is_subset(&before)))?;
        thread::sleep(Duration::from_secs(4));
        send_signal(pid, libc::SIGINT)?;
        thread::sleep(Duration::from_secs(2));
        ensure!(
            child.try_wait()?.is_none(),
            "it ended though its output was not read"
        );
        send_signal(pid, libc::SIGINT)?;
        until(|| Ok(child.try_wait()?.is_some()))?;
        let status = child.wait()?;
        ensure!(
            status.code() == Some(130) || status.signal() == Some(libc::SIGINT),
            "{status}"
        );
        Ok(())
    })();
    // Whatever happened: nothing is left running.
    let _ = child.kill();
    let _ = child.wait();
    outcome
}

/// Makes sure that the profiler, killed, leaves no program, no map and no pin in the kernel, and the target running.
#[test]
fn killed() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let target = busy("busy.py")?;
    let (programs, maps, pins) = (bpf::programs()?, bpf::maps()?, pins());
    let mut running = Profiler::of_all(999, "3600s").start()?;
    running.until_sampling()?;
    ensure!(
        !bpf::maps()?.is_subset(&maps),
        "no map was seen while it ran"
    );
    running.signal(libc::SIGKILL)?;
    running.wait()?;
    // The kernel frees what is not used any more a little later.
    until(|| Ok(bpf::programs()?.is_subset(&programs) && bpf::maps()?.is_subset(&maps)))
        .context("programs or maps are left")?;
    ensure!(pins.is_superset(&self::pins()), "something is pinned");
    ensure!(target.runs()?, "the target does not run");
    Ok(())
}

/// What is pinned in the BPF file system.
fn pins() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from("/sys/fs/bpf")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

fn until(mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
