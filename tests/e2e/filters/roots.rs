//! Root file systems that look like the host's and are not: what containers have, made in a moment.

use std::process::Command;

use anyhow::Result;
use end_to_end::{
    interpreters::Interpreter,
    target::{self, Target},
};
use tempfile::TempDir;

/// How to make a root at a place, in a mount namespace of its own.
pub struct Root {
    directory: TempDir,
    mount: &'static str,
}

impl Root {
    /// The host's root below an overlay: files have the overlay's device and inodes.
    pub fn overlay() -> Result<Self> {
        Ok(Self {
            directory: TempDir::new()?,
            mount: "mount -t tmpfs none \"$1\" && mkdir \"$1\"/upper \"$1\"/work \"$1\"/root \
                && mount -t overlay -o \"lowerdir=/,upperdir=$1/upper,workdir=$1/work\" none \"$1\"/root",
        })
    }

    /// The host's root, bound elsewhere.
    pub fn bound() -> Result<Self> {
        Ok(Self {
            directory: TempDir::new()?,
            mount: "mkdir -p \"$1\"/root && mount --rbind / \"$1\"/root",
        })
    }

    /// Starts a program of `tests/programs` in it. The mounts go with the process.
    pub fn spawn<'a>(
        &self,
        interpreter: &Interpreter,
        program: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Target> {
        let inside = target::command(interpreter, program)?;
        let script = format!(
            "set -e; {}; root=$1/root; shift; exec chroot \"$root\" \"$@\"",
            self.mount
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", &script, "sh"])
            .arg(self.directory.path())
            .arg(inside.get_program())
            .args(inside.get_args())
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Target::of(
            &mut command,
            &format!("{program} on {} in a root", interpreter.name),
        )
    }
}
