//! Virtual environments with packages from PyPI.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Component, Obstacle};
use crate::{paths, shell};

/// The interpreters that will do, best first: those for which all packages have wheels.
const INTERPRETERS: &[&str] = &["3.12.1", "3.11.7"];

/// One virtual environment.
pub struct Venv {
    directory: &'static str,
    why: &'static str,
    packages: &'static [&'static str],
    /// Packages of which there are only sources.
    compiled: &'static [&'static str],
}

/// What `examples/flights.py` wants.
pub fn flights() -> Venv {
    Venv {
        directory: "venv-flights",
        why: "the example in README.md",
        packages: &["numpy==2.2.6", "pandas==2.2.3"],
        compiled: &[],
    }
}

/// What the tests profile of what people run: servers, and what switches stacks. uwsgi is compiled, since PyPI has no
/// wheel of it.
pub fn servers() -> Venv {
    Venv {
        directory: "venv-servers",
        why: "profiling servers, event loops and frozen programs",
        packages: &[
            "gunicorn==27.0.1",
            "gevent==26.9.0",
            "uvloop==0.23.0",
            "pyinstaller==6.22.3",
        ],
        compiled: &["uwsgi==2.0.31"],
    }
}

/// The profilers to compare with.
pub fn peers() -> Venv {
    Venv {
        directory: "venv-peers",
        why: "the benchmark's comparison",
        packages: &["py-spy==0.4.3", "austin-dist==4.0.0"],
        compiled: &[],
    }
}

/// Where the profilers to compare with lie.
pub fn peers_path() -> PathBuf {
    peers().path()
}

impl Venv {
    /// Where it lies.
    pub fn path(&self) -> PathBuf {
        paths::cache().join(self.directory)
    }

    /// Says what is installed, and is written last: an interrupted installation is done again.
    fn marker(&self) -> PathBuf {
        self.path().join("complete")
    }

    fn contents(&self) -> String {
        [self.packages, self.compiled].concat().join("\n")
    }
}

impl Component for Venv {
    fn name(&self) -> String {
        self.directory.into()
    }

    fn why(&self) -> &'static str {
        self.why
    }

    fn missing(&self) -> Option<String> {
        let complete = fs::read_to_string(self.marker()).is_ok_and(|text| text == self.contents());
        (!complete).then(|| self.contents().replace('\n', ", "))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let python = INTERPRETERS
            .iter()
            .map(|version| {
                paths::pyenv()
                    .join("versions")
                    .join(version)
                    .join("bin/python3")
            })
            .find(|path| path.exists())
            .ok_or_else(|| Obstacle::new("no CPython 3.12.1 or 3.11.7 from pyenv", &[]))?;
        let path = self.path();
        let mut create = Command::new(python);
        create.args(["-m", "venv", "--clear"]).arg(&path);
        shell::run_logged(&mut create, log)?;
        let mut install = Command::new(path.join("bin/python"));
        install
            .args(["-m", "pip", "install", "--quiet", "--only-binary=:all:"])
            .args(self.compiled.iter().map(|package| {
                let name = package.split('=').next().unwrap_or(package);
                format!("--no-binary={name}")
            }))
            .args(self.packages)
            .args(self.compiled);
        shell::run_logged(&mut install, log)
            .map_err(|error| Obstacle::new(format!("{error:#}"), &[&shell::display(&install)]))?;
        fs::write(self.marker(), self.contents()).context("cannot mark it as complete")?;
        Ok(())
    }
}
