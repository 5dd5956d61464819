//! A one-file application as PyInstaller makes it: a program that unpacks an interpreter, opens it, and deletes it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use super::{Component, Obstacle, venv};
use crate::{paths, shell};

/// What is frozen: it runs the program that its command line names.
const SOURCE: &str = "tests/programs/frozen.py";
/// Modules of the standard library that such programs use, which PyInstaller cannot know.
const MODULES: &[&str] = &["functools", "json", "operator", "signal"];

/// The application.
pub struct Frozen;

fn directory() -> PathBuf {
    paths::cache().join("frozen")
}

impl Component for Frozen {
    fn name(&self) -> String {
        "frozen application".into()
    }

    fn why(&self) -> &'static str {
        "profiling what PyInstaller makes"
    }

    fn missing(&self) -> Option<String> {
        let application = directory().join("application");
        (!application.exists()).then(|| application.display().to_string())
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let directory = directory();
        let work = directory.join("work");
        let mut freeze = Command::new(venv::servers().path().join("bin/pyinstaller"));
        freeze.args(["--onefile", "--name=application", "--log-level=WARN"]);
        for (option, folder) in [
            ("--workpath", "build"),
            ("--specpath", "build"),
            ("--distpath", "whole"),
        ] {
            freeze.arg(option).arg(work.join(folder));
        }
        freeze.args(
            MODULES
                .iter()
                .map(|module| format!("--hidden-import={module}")),
        );
        freeze.arg(paths::workspace().join(SOURCE));
        shell::run_logged(&mut freeze, log)?;
        // Only what is whole has the name that is looked for.
        fs::rename(
            work.join("whole/application"),
            directory.join("application"),
        )
        .context("cannot move it into place")?;
        Ok(())
    }
}
