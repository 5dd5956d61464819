//! Why the kernel side could not be set up.

use std::io;

use aya::{maps::MapError, programs::ProgramError};

use super::{Clock, btf::BtfError};

/// Why the kernel side could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// This build has no eBPF object in it.
    #[error("this build has no eBPF program in it: build it with `cargo xtask build`")]
    NoObject,
    /// The kernel does not describe its types.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel refused the object or its maps.
    #[error("the kernel refused the eBPF maps: {}", root_cause(.0))]
    Maps(#[from] aya::EbpfError),
    /// A map could not be used.
    #[error("eBPF map: {0}")]
    Map(#[from] MapError),
    /// The verifier refused a program.
    #[error("the kernel refused the eBPF program `{name}`: {}", root_cause(error))]
    Load {
        /// The program's name.
        name: &'static str,
        /// What the kernel says.
        error: ProgramError,
    },
    /// A program could not be attached.
    #[error("cannot attach the eBPF program `{name}`: {}", root_cause(error))]
    Attach {
        /// The program's name.
        name: &'static str,
        /// What the kernel says.
        error: ProgramError,
    },
    /// The sampling event could not be opened.
    #[error("cannot open the sampling event on CPU {cpu}: {error}")]
    Perf {
        /// The CPU.
        cpu: u32,
        /// What it was to count.
        clock: Clock,
        /// What the kernel says.
        error: io::Error,
    },
    /// The ring buffers cannot be waited for.
    #[error("cannot wait for the ring buffers: {0}")]
    Wait(io::Error),
    /// The CPUs could not be listed.
    #[error("cannot list the online CPUs: {0}")]
    Cpus(io::Error),
    /// Something is not in the object that should be.
    #[error("the eBPF object has no `{0}`")]
    Incomplete(&'static str),
}

/// What is at the bottom of an error, on one line: the layers above repeat it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
