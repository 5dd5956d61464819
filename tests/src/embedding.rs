//! Programs with an interpreter inside, compiled for the tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    environment,
    interpreters::{self, Interpreter},
};

/// An interpreter that pyenv has built, with what is needed to embed it.
#[derive(Clone, Debug)]
pub struct Embeddable {
    /// The interpreter.
    pub interpreter: Interpreter,
    /// Where it was installed: what PYTHONHOME is for a program that embeds it.
    pub home: PathBuf,
    /// `3.12`.
    pub feature: String,
}

/// How an interpreter is linked into a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// By the shared library.
    Shared,
    /// From the archive, with all its symbols exported.
    Exported,
    /// From the archive, with nothing exported.
    Hidden,
}

impl Embeddable {
    /// The interpreter of that version (`3.12.1`), of those that pyenv provides.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn find(version: &str) -> Result<Self> {
        let interpreter = interpreters::named(version)?;
        let home = interpreter
            .executable
            .ancestors()
            .nth(2)
            .context("an interpreter without a home")?
            .to_owned();
        let feature = format!("{}.{}", interpreter.version.0, interpreter.version.1);
        Ok(Self {
            interpreter,
            home,
            feature,
        })
    }

    /// Its shared library.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.home
            .join(format!("lib/libpython{}.so.1.0", self.feature))
    }

    /// Compiles `tests/programs/embed.c` with it into a program of that name.
    ///
    /// # Errors
    /// Where there is no compiler, or it refuses.
    pub fn link(&self, how: Link, directory: &Path, name: &str) -> Result<PathBuf> {
        let feature = &self.feature;
        let path = directory.join(name);
        let mut command = compiler("embed.c", &path);
        command
            .arg("-I")
            .arg(self.home.join(format!("include/python{feature}")));
        match how {
            Link::Shared => {
                let libraries = self.home.join("lib");
                command
                    .arg("-L")
                    .arg(&libraries)
                    .arg(format!("-lpython{feature}"))
                    .arg(format!("-Wl,-rpath,{}", libraries.display()));
            }
            Link::Exported | Link::Hidden => {
                command.arg(self.home.join(format!(
                    "lib/python{feature}/config-{feature}-x86_64-linux-gnu/libpython{feature}.a"
                )));
                if how == Link::Exported {
                    command.arg("-rdynamic");
                }
            }
        }
        command.args(["-lm", "-ldl", "-lpthread", "-lutil"]);
        run(&mut command)?;
        Ok(path)
    }

    /// A command that has a program which embeds it run one of `tests/programs`.
    #[must_use]
    pub fn embedded(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("PYTHONHOME", &self.home)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// Compiles a C program of `tests/programs`.
///
/// # Errors
/// Where there is no compiler, or it refuses.
pub fn compile(source: &str, directory: &Path) -> Result<PathBuf> {
    let path = directory.join(source.trim_end_matches(".c"));
    run(compiler(source, &path).arg("-ldl"))?;
    Ok(path)
}

/// Takes the symbol tables out of a program or library, in place.
///
/// # Errors
/// Where it cannot be done.
pub fn strip(path: &Path) -> Result<()> {
    run(Command::new("strip").arg("--strip-all").arg(path))
}

fn compiler(source: &str, into: &Path) -> Command {
    let mut command = Command::new("gcc");
    command
        .arg("-O1")
        .arg("-o")
        .arg(into)
        .arg(environment::programs().join(source));
    command
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
