//! CPython versions from pyenv: with a shared libpython that keeps its symbols, and with headers.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Component, Obstacle, apt};
use crate::{paths, shell};

/// The versions under test. 2.7 is there to be refused.
const VERSIONS: &[&str] = &[
    "2.7.18", "3.6.15", "3.7.16", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0",
];
const REPOSITORY: &str = "https://github.com/pyenv/pyenv.git";
/// What CPython's build wants beside a compiler, so that no module of the standard library stays away.
const BUILD_PACKAGES: &[&str] = &[
    "build-essential",
    "libbz2-dev",
    "libffi-dev",
    "liblzma-dev",
    "libreadline-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "zlib1g-dev",
];

/// pyenv, and all versions, one component each.
pub fn all() -> impl Iterator<Item = Box<dyn Component>> {
    std::iter::once(Box::new(Pyenv) as Box<dyn Component>)
        .chain(interpreters().map(|one| Box::new(one) as _))
}

fn interpreters() -> impl Iterator<Item = Interpreter> {
    VERSIONS.iter().map(|version| Interpreter { version })
}

/// What builds the interpreters; not wanted where all of them are there.
struct Pyenv;

impl Component for Pyenv {
    fn name(&self) -> String {
        "pyenv".into()
    }

    fn why(&self) -> &'static str {
        "building interpreters for the tests"
    }

    fn missing(&self) -> Option<String> {
        let wanted = interpreters().any(|one| one.missing().is_some());
        (wanted && pyenv().is_none()).then(|| format!("no {}", paths::pyenv().display()))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let mut clone = Command::new("git");
        clone
            .args(["clone", "--depth=1", REPOSITORY])
            .arg(paths::pyenv());
        shell::run_logged(&mut clone, log).map_err(|error| {
            let by_hand = shell::display(&clone);
            Obstacle::new(format!("{error:#}"), &[&by_hand, "cargo xtask setup"])
        })
    }
}

fn pyenv() -> Option<PathBuf> {
    let own = paths::pyenv().join("bin/pyenv");
    own.exists()
        .then_some(own)
        .or_else(|| shell::which("pyenv"))
}

struct Interpreter {
    version: &'static str,
}

impl Interpreter {
    /// `python3.8` for 3.8.18.
    fn executable_name(&self) -> String {
        let minor = self.version.rsplit_once('.').map_or("", |(minor, _)| minor);
        format!("python{minor}")
    }
}

impl Component for Interpreter {
    fn name(&self) -> String {
        format!("CPython {}", self.version)
    }

    fn why(&self) -> &'static str {
        "profiling it in the tests"
    }

    fn missing(&self) -> Option<String> {
        let executable = paths::pyenv()
            .join("versions")
            .join(self.version)
            .join("bin")
            .join(self.executable_name());
        (!executable.exists()).then(|| format!("no {}", executable.display()))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let pyenv = pyenv().ok_or_else(|| Obstacle::new("no pyenv to build it", &[]))?;
        // Where the packages cannot be had, the build may still find what it needs.
        if let Err(obstacle) = apt::install(BUILD_PACKAGES, log) {
            eprintln!("setup: {obstacle}");
        }
        let mut command = Command::new(pyenv);
        command
            .args(["install", "--skip-existing", self.version])
            .env("PYENV_ROOT", paths::pyenv())
            .env("PYTHON_CONFIGURE_OPTS", "--enable-shared");
        shell::run_logged(&mut command, log).map_err(|error| {
            Obstacle::new(
                format!("{error:#}"),
                &[&format!(
                    "PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {}",
                    self.version
                )],
            )
        })
    }
}
