//! Debian's packages: what the host itself gets, and what is only fetched from another release.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

use anyhow::{Context, Result};

use super::Obstacle;
use crate::shell;

/// The mirror where the host's own sources name none.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// What apt-get is always called with. The lists of an old release, or of a mirror that lags, are past
/// their Valid-Until: an old kernel or interpreter is as good a test.
pub const OPTIONS: &[&str] = &[
    "-q",
    "-y",
    "-o",
    "Acquire::Retries=3",
    "-o",
    "Acquire::Check-Valid-Until=false",
    "-o",
    "DPkg::Lock::Timeout=300",
];

/// Brings the host's package lists up to date, once in this run. A failure is no reason to stop: one
/// foreign source that does not answer fails the whole update, and the lists that are there may do.
fn update(log: &Path) {
    static UPDATED: Once = Once::new();
    UPDATED.call_once(|| {
        let mut command = shell::as_root("apt-get");
        command.args(OPTIONS).arg("update");
        if let Err(error) = shell::run_logged(&mut command, log) {
            eprintln!(
                "setup: apt-get update failed, going on with the lists that are there: {error:#}"
            );
        }
    });
}

/// Whether the host's package lists, brought up to date, have a package of that name.
pub fn has_candidate(package: &str, log: &Path) -> bool {
    if shell::which("apt-get").is_none() {
        return false;
    }
    if shell::can_be_root() {
        update(log);
    }
    shell::output(Command::new("apt-cache").args(["show", "--no-all-versions", package]))
        .is_some_and(|text| !text.is_empty())
}

/// Installs packages of the distribution on the host.
pub fn install(packages: &[&str], log: &Path) -> Result<(), Obstacle> {
    let by_hand = format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    if shell::which("apt-get").is_none() {
        return Err(Obstacle::new(
            format!(
                "this is no Debian: install what it calls {} by your own package manager",
                packages.join(", ")
            ),
            &[],
        ));
    }
    if !shell::can_be_root() {
        return Err(Obstacle::new(
            "packages are installed by root, and there is no sudo",
            &["apt-get update", &by_hand],
        ));
    }
    update(log);
    let mut command = shell::as_root("env");
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(OPTIONS)
        .args(["install", "--no-install-recommends"])
        .args(packages);
    shell::run_logged(&mut command, log).map_err(|error| {
        Obstacle::new(
            format!("{error:#}"),
            &["sudo apt-get update", &format!("sudo {by_hand}")],
        )
    })
}

/// The Debian mirror that the host uses.
pub fn mirror() -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| mirror_in(&text))
        .unwrap_or_else(|| DEFAULT_MIRROR.to_owned())
}

/// The first archive in a list of sources whose path is `/debian`, in either of apt's two formats.
fn mirror_in(sources: &str) -> Option<String> {
    sources
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.starts_with("http") && word.ends_with("/debian"))
        .map(str::to_owned)
}

/// A view of another Debian release's archive, signed by the same keys, with lists of its own: the
/// host's apt does not see it.
pub struct Archive {
    directory: PathBuf,
}

impl Archive {
    /// Fetches the lists of a mirror's `suite` into `directory`.
    pub fn open(directory: &Path, mirror: &str, suite: &str, log: &Path) -> Result<Self> {
        for part in ["state/lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(directory.join(part))?;
        }
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        fs::write(
            directory.join("etc/sources.list"),
            format!("deb [signed-by={keyring}] {mirror} {suite} main\n"),
        )?;
        let archive = Self {
            directory: directory.to_owned(),
        };
        let mut update = archive.apt("apt-get");
        update.args(OPTIONS).arg("update");
        shell::run_logged(&mut update, log)?;
        Ok(archive)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut option = |name: &str, value: &str| {
            command.arg("-o").arg(format!("{name}={value}"));
        };
        let path = |part: &str| self.directory.join(part).display().to_string();
        option("Dir::Etc::sourcelist", &path("etc/sources.list"));
        option("Dir::Etc::sourceparts", "-");
        option("Dir::State", &path("state"));
        option("Dir::State::status", "/dev/null");
        option("Dir::Cache", &path("cache"));
        option("APT::Architecture", "amd64");
        option("APT::Architectures::", "amd64");
        option("Acquire::Languages", "none");
        option(
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
            "false",
        );
        // Root's apt drops to a user that cannot write into a private cache directory.
        option("APT::Sandbox::User", "");
        command.current_dir(&self.directory);
        command
    }

    /// The names of packages that match a regular expression.
    pub fn names(&self, pattern: &str) -> Result<Vec<String>> {
        let text = shell::output(
            self.apt("apt-cache")
                .args(["search", "--names-only", pattern]),
        )
        .context("apt-cache search failed")?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// Fetches a package, which apt checks against the signed lists, and unpacks it into `target`.
    pub fn unpack(&self, package: &str, target: &Path, log: &Path) -> Result<()> {
        for old in self.packages()? {
            fs::remove_file(old)?;
        }
        shell::run_logged(
            self.apt("apt-get")
                .args(OPTIONS)
                .args(["download", package]),
            log,
        )?;
        let fetched = self.packages()?;
        let deb = fetched.first().context("apt-get download left no file")?;
        shell::run_logged(Command::new("dpkg-deb").arg("-x").arg(deb).arg(target), log)?;
        fs::remove_file(deb)?;
        Ok(())
    }

    fn packages(&self) -> Result<Vec<PathBuf>> {
        Ok(fs::read_dir(&self.directory)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "deb"))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    /// The mirror is found in apt's one-line format and in its deb822 format, and foreign sources are not taken for it.
    #[test]
    fn mirror_is_found_in_both_formats() {
        let one_line = "# deb http://old.example/debian x main\n\
                        deb https://packages.cloud.google.com/apt cloud-sdk main\n\
                        deb [arch=amd64] http://ftp.fr.debian.org/debian/ bookworm main\n";
        assert_eq!(
            mirror_in(one_line).as_deref(),
            Some("http://ftp.fr.debian.org/debian")
        );
        let deb822 = "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n";
        assert_eq!(
            mirror_in(deb822).as_deref(),
            Some("http://deb.debian.org/debian")
        );
        assert_eq!(
            mirror_in("URIs: https://deb.nodesource.com/node_20.x\n"),
            None
        );
    }
}
