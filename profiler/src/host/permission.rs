//! What this process is allowed to do, asked before the kernel says no, so that the answer can be one
//! line with the next step.

use std::fs;

/// Capability numbers: Linux include/uapi/linux/capability.h.
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// Why this process may not profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Capabilities are missing.
    #[error("profiling needs the capabilities {}", .0.join(", "))]
    Capabilities(Vec<&'static str>),
    /// The kernel's lockdown forbids programs to read memory.
    #[error("the kernel is locked down ({0}): eBPF programs may not read memory")]
    Lockdown(String),
    /// A distribution's kernel reserves performance events for CAP_SYS_ADMIN.
    #[error(
        "kernel.perf_event_paranoid is {0}: this kernel reserves performance events for CAP_SYS_ADMIN"
    )]
    Paranoid(i32),
}

/// Asks whether profiling is allowed.
///
/// # Errors
/// What is in the way.
pub fn check() -> Result<(), Denied> {
    let effective = effective_capabilities().unwrap_or(0);
    let has = |capability: u32| effective >> capability & 1 == 1;
    let mut missing = Vec::new();
    if !has(SYS_ADMIN) {
        for (capability, name) in [(BPF, "CAP_BPF"), (PERFMON, "CAP_PERFMON")] {
            if !has(capability) {
                missing.push(name);
            }
        }
    }
    if !has(SYS_PTRACE) {
        missing.push("CAP_SYS_PTRACE");
    }
    if !missing.is_empty() {
        return Err(Denied::Capabilities(missing));
    }
    if let Some(mode) = lockdown().filter(|mode| mode == "confidentiality") {
        return Err(Denied::Lockdown(mode));
    }
    // Debian's and Ubuntu's own levels: 3 and 4 lock out everyone without CAP_SYS_ADMIN.
    match paranoid() {
        Some(level) if level >= 3 && !has(SYS_ADMIN) => Err(Denied::Paranoid(level)),
        _ => Ok(()),
    }
}

/// The effective capabilities (a bit each) of this process.
fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The kernel's lockdown mode: `none`, `integrity` or `confidentiality`; None where it has none.
#[must_use]
pub fn lockdown() -> Option<String> {
    let modes = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let (_, rest) = modes.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// The sysctl `kernel.perf_event_paranoid`.
#[must_use]
pub fn paranoid() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
        .ok()?
        .trim()
        .parse()
        .ok()
}
