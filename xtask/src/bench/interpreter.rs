//! The interpreters of the programs that are profiled.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};

use crate::{paths, setup};

/// An interpreter that set-up provides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interpreter {
    /// One of pyenv's, by its whole version.
    Pyenv(&'static str),
    /// The host's own, by its path: static and stripped.
    Host(&'static str),
    /// One of the newer root's, by its minor version: entered by chroot.
    Root(&'static str),
    /// One of these, run by the newer root's loader with its libraries, in the host's own root: as other profilers than
    /// ours want to see a process whose memory maps they read.
    Loaded(&'static str),
    /// One of those that set-up compiles: its directory and its minor version.
    Built(&'static str, &'static str),
}

/// The interpreter of most measurements: all the profilers compared know it.
pub const USUAL: Interpreter = Interpreter::Pyenv("3.12.1");

impl Interpreter {
    /// How tables call it.
    pub fn name(self) -> String {
        match self {
            Self::Pyenv(version) => version.to_owned(),
            Self::Host(_) => "3.11 (Debian 12's)".to_owned(),
            Self::Root(version) | Self::Loaded(version) => format!("{version} (Debian forky's)"),
            Self::Built(directory, _) => directory.to_owned(),
        }
    }

    /// A command that runs it; its arguments are to follow.
    pub fn command(self) -> Result<Command> {
        let program = self.program();
        ensure!(
            program.exists(),
            "no CPython {}: cargo xtask setup provides it",
            self.name()
        );
        Ok(match self {
            Self::Pyenv(_) | Self::Host(_) | Self::Built(..) => Command::new(program),
            Self::Root(version) => {
                let mut command = Command::new("chroot");
                command
                    .arg(setup::forky())
                    .arg(format!("/usr/bin/python{version}"));
                command
            }
            Self::Loaded(_) => {
                let mut command = by_newer_loader();
                command
                    .arg(program)
                    .env("PYTHONHOME", setup::forky().join("usr"));
                command
            }
        })
    }

    fn program(self) -> PathBuf {
        match self {
            Self::Pyenv(version) => {
                let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
                paths::pyenv().join(format!("versions/{version}/bin/python{minor}"))
            }
            Self::Host(path) => path.into(),
            Self::Root(version) | Self::Loaded(version) => {
                setup::forky().join(format!("usr/bin/python{version}"))
            }
            Self::Built(directory, minor) => paths::cache()
                .join("interpreters")
                .join(directory)
                .join(format!("bin/python{minor}")),
        }
    }
}

/// The loader of the newer root file system, with its libraries: for what wants a newer libc than most hosts have.
pub fn by_newer_loader() -> Command {
    let root = setup::forky();
    let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
    command
        .arg("--library-path")
        .arg(root.join("usr/lib/x86_64-linux-gnu"));
    command
}
