//! One virtual machine, from power-on to power-off.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::guest::STATUS;
use crate::shell;

/// Software emulation is some twenty times slower than the host.
const TIME_LIMIT: Duration = Duration::from_secs(600);
/// What is shown of a guest that did not come to its end.
const TAIL: usize = 40;
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Boots a kernel, gives each line of its console to `line`, and returns the status that its tests ended with.
pub fn boot(
    kernel: &Path,
    initramfs: &Path,
    log: &Path,
    mut line: impl FnMut(&str),
) -> Result<i32> {
    let mut command = command(kernel, initramfs);
    let shown = shell::display(&command);
    let mut child = shell::dies_with_us(&mut command)
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    let lines = read_lines(child.stdout.take().context("no console")?);
    let mut machine = Machine(child);
    let mut console =
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let end = Instant::now() + TIME_LIMIT;
    let mut status = None;
    let reason = loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(text) => {
                writeln!(console, "{text}")?;
                if let Some(number) = text.strip_prefix(STATUS) {
                    status = number.trim().parse().ok();
                } else if status.is_none() {
                    line(&text);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break "the machine went off".to_owned(),
            Err(RecvTimeoutError::Timeout) => {
                break format!("no end after {} s", TIME_LIMIT.as_secs());
            }
        }
    };
    machine.stop();
    match status {
        Some(status) => Ok(status),
        None => {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n    ");
            bail!(
                "{reason} before the tests were done:\n    {tail}\n    (all of it: {})",
                log.display()
            )
        }
    }
}

/// Switched off when dropped.
struct Machine(Child);

impl Machine {
    fn stop(&mut self) {
        // Both fail only where it has gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn command(kernel: &Path, initramfs: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["-accel", "tcg", "-cpu", "max", "-m", "2G", "-smp", "2"])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-serial", "stdio", "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 panic=-1 loglevel=4"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// The console's lines, as they come. It is a serial line: lines end with a carriage return too.
fn read_lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&bytes);
            if sender
                .send(text.trim_end_matches(['\r', '\n']).to_owned())
                .is_err()
            {
                return;
            }
            bytes.clear();
        }
    });
    receiver
}
