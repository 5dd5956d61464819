//! A root file system of Debian's next release: newer interpreters and a newer libc than the host's, and
//! a stand-in for a container.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{Component, Obstacle, apt};
use crate::{paths, shell};

const SUITE: &str = "forky";
const INTERPRETERS: &[&str] = &["python3.13", "python3.14", "python3.15"];
/// Each interpreter's headers, from which a test derives the layouts again.
const HEADERS: &[&str] = &["libpython3.14-dev", "libpython3.15-dev"];
/// A file that each of those brings.
const HEADER_FILES: &[&str] = &[
    "usr/include/python3.14/internal/pycore_frame.h",
    "usr/include/python3.15/internal/pycore_frame.h",
];
/// The script for Debian's rolling release fits every new one; older debootstraps have no link for it.
const SCRIPT: &str = "/usr/share/debootstrap/scripts/sid";

/// Where the root lies.
pub fn forky() -> PathBuf {
    paths::cache().join("roots").join(SUITE)
}

/// The root with its interpreters and headers.
pub struct Forky;

impl Component for Forky {
    fn name(&self) -> String {
        "root of Debian forky".into()
    }

    fn why(&self) -> &'static str {
        "CPython 3.13, 3.14 and 3.15 in a root of their own"
    }

    fn missing(&self) -> Option<String> {
        let root = forky();
        let without = |file: &&str| !root.join(file).exists();
        let interpreters: Vec<String> = INTERPRETERS
            .iter()
            .map(|name| format!("usr/bin/{name}"))
            .collect();
        let mut files = interpreters
            .iter()
            .map(String::as_str)
            .chain(HEADER_FILES.iter().copied());
        files
            .find(without)
            .map(|file| format!("no {}", root.join(file).display()))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let root = forky();
        let by_hand = |reason: String| Obstacle::new(reason, &[&shell::display(&bootstrap(&root))]);
        if !shell::can_be_root() {
            return Err(by_hand(
                "debootstrap wants root, and there is no sudo".into(),
            ));
        }
        if !root.exists() {
            create(&root, log).map_err(|error| by_hand(format!("{error:#}")))?;
        }
        Ok(complete(&root, log)?)
    }
}

/// Makes the root under another name and moves it into place when it is whole.
fn create(root: &Path, log: &Path) -> Result<()> {
    let unfinished = root.with_extension("tmp");
    if unfinished.exists() {
        // What an interrupted run left; nothing that is still mounted in there is touched.
        let mut clear = shell::as_root("rm");
        clear.args(["-rf", "--one-file-system"]).arg(&unfinished);
        shell::run_logged(&mut clear, log)?;
    }
    shell::run_logged(&mut bootstrap(&unfinished), log)?;
    let mut rename = shell::as_root("mv");
    rename.arg("-T").arg(&unfinished).arg(root);
    shell::run_logged(&mut rename, log)
}

/// Installs what is wanted beside a minimal system.
fn complete(root: &Path, log: &Path) -> Result<()> {
    // What an interrupted installation left half done.
    let mut repair = in_root(root, "dpkg");
    shell::run_logged(repair.args(["--configure", "-a"]), log)?;
    let mut update = in_root(root, "apt-get");
    update.args(apt::OPTIONS).arg("update");
    shell::run_logged(&mut update, log)?;
    let mut install = in_root(root, "apt-get");
    install
        .args(apt::OPTIONS)
        .args(["install", "--no-install-recommends"])
        .args(INTERPRETERS)
        .args(HEADERS);
    shell::run_logged(&mut install, log)
}

fn bootstrap(root: &Path) -> Command {
    let mut command = shell::as_root("debootstrap");
    command
        .arg("--variant=minbase")
        .arg(format!("--include={}", INTERPRETERS.join(",")))
        .arg(SUITE)
        .arg(root)
        .args([&apt::mirror(), SCRIPT]);
    command
}

fn in_root(root: &Path, program: &str) -> Command {
    let mut command = shell::as_root("chroot");
    command
        .arg(root)
        .args(["/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", program]);
    command
}

/// CPython as Debian builds it for debugging (`--with-pydebug`): the executable alone, which finds its library
/// in the root. Its package would bring hundreds of megabytes along.
pub struct DebugBuild;

const DEBUG_PACKAGE: &str = "python3.14-dbg";
const DEBUG_EXECUTABLE: &str = "usr/bin/python3.14d";

impl Component for DebugBuild {
    fn name(&self) -> String {
        DEBUG_PACKAGE.into()
    }

    fn why(&self) -> &'static str {
        "profiling a debug build"
    }

    fn missing(&self) -> Option<String> {
        let executable = forky().join(DEBUG_EXECUTABLE);
        (!executable.exists()).then(|| format!("no {}", executable.display()))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        if !shell::can_be_root() {
            return Err(Obstacle::new(
                "chroot wants root, and there is no sudo",
                &[],
            ));
        }
        let root = forky();
        let mut update = in_root(&root, "apt-get");
        shell::run_logged(update.args(apt::OPTIONS).arg("update"), log)?;
        let script = format!(
            "set -e; cd $(mktemp -d); apt-get -q -o APT::Sandbox::User= download {DEBUG_PACKAGE}; \
             dpkg-deb --fsys-tarfile *.deb | tar -x -C / ./{DEBUG_EXECUTABLE}; rm -r $PWD"
        );
        let mut unpack = in_root(&root, "sh");
        shell::run_logged(unpack.args(["-c", &script]), log)?;
        Ok(())
    }
}
