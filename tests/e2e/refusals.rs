//! What a kernel can have against profiling, and what the user is told then. The conditions are made: by mounts
//! over what the kernel says of itself, in a mount namespace of their own, and by a system call that fails.

use std::{fs, io, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result, ensure};
use end_to_end::environment::{self, Turn};

const NOT_PERMITTED: i32 = 3;

/// Runs the profiler behind a shell script that prepares its mount namespace; what it said, after a check of the
/// exit status and that it is one line and a hint.
fn refused_after(preparation: &str) -> Result<String> {
    let script = format!("set -e; {preparation}; exec \"$@\"");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(environment::binary());
    refused(&mut command)
}

fn refused(command: &mut Command) -> Result<String> {
    let output = command
        .args(["--all-python", "-d", "1", "-o", "-"])
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(NOT_PERMITTED),
        "{:?}: {error}",
        output.status
    );
    let lines: Vec<&str> = error.trim_end().lines().collect();
    ensure!(
        lines.len() == 2 && lines[0].starts_with("pyprof-ebpf: ") && lines[1].starts_with("hint: "),
        "not one line and a hint: {error}"
    );
    Ok(error)
}

fn says(error: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(error.contains(word), "no {word:?} in: {error}");
    }
    Ok(())
}

/// Makes sure that a kernel in lockdown is named as the reason, with what to do about it.
#[test]
fn locked_down() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let error = refused_after(
        "mount -t tmpfs none /sys/kernel/security; \
         echo 'none integrity [confidentiality]' > /sys/kernel/security/lockdown",
    )?;
    says(
        &error,
        &["locked down", "confidentiality", "lockdown=integrity"],
    )
}

/// Makes sure that a distribution's `perf_event_paranoid` is named with its value and the sysctl to set, to someone
/// who has the capabilities that suffice elsewhere.
#[test]
fn paranoid() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let level = directory.path().join("level");
    fs::write(&level, "4\n")?;
    let error = refused_after(&format!(
        "mount --bind {} /proc/sys/kernel/perf_event_paranoid; \
         set -- setpriv --bounding-set -sys_admin \"$@\"",
        level.display()
    ))?;
    says(
        &error,
        &[
            "perf_event_paranoid is 4",
            "CAP_SYS_ADMIN",
            "sudo ",
            "sysctl kernel.perf_event_paranoid=2",
        ],
    )
}

/// Makes sure that a kernel without a description of its types is told from one that refuses.
#[test]
fn no_btf() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let error = refused_after("mount -t tmpfs none /sys/kernel/btf")?;
    says(
        &error,
        &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"],
    )
}

/// Makes sure that a kernel which lacks a kind of map is said to be too old, with the version that is needed. What
/// such a kernel answers, EINVAL, is answered here by a filter on the system call.
#[test]
fn too_old() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut command = Command::new(environment::binary());
    // SAFETY: only async-signal-safe system calls are made between fork and exec.
    unsafe { command.pre_exec(fail_map_creation) };
    let error = refused(&mut command)?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("no kernel release")?;
    says(&error, &["refused", release.trim(), "Linux 5.10 or newer"])
}

/// Installs a seccomp filter that answers bpf(BPF_MAP_CREATE) with EINVAL.
fn fail_map_creation() -> io::Result<()> {
    // Offsets in `struct seccomp_data`, include/uapi/linux/seccomp.h; arguments are little-endian.
    const NUMBER: u32 = 0;
    const FIRST_ARGUMENT: u32 = 16;
    const BPF_MAP_CREATE: u32 = 0;
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset);
    let skip_unless =
        |value, skip| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, value);
    let answer = |value| statement(libc::BPF_RET | libc::BPF_K, 0, value);
    let mut filter = [
        load(NUMBER),
        skip_unless(libc::SYS_bpf as u32, 3),
        load(FIRST_ARGUMENT),
        skip_unless(BPF_MAP_CREATE, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: `program` and the filter that it points to are valid during the calls.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    };
    if installed {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// An instruction of the filter; a jump goes on where the value matches and skips where it does not.
const fn statement(code: u32, skip: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: skip,
        k: value,
    }
}
