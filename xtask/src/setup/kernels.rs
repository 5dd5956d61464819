//! Debian's kernels for the tests in virtual machines: fetched and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{
    Component, Obstacle,
    apt::{self, Archive},
};
use crate::paths;

/// Where a release goes when the mirrors drop it.
const OLD_RELEASES: &str = "http://archive.debian.org/debian";

/// A kernel to boot.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// How the command line calls it.
    pub name: &'static str,
    suite: &'static str,
    /// The start of its version; empty for whatever is the newest.
    version: &'static str,
}

const KERNELS: &[Kernel] = &[
    Kernel {
        name: "5.10",
        suite: "bullseye",
        version: "5.10.",
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
        version: "6.1.",
    },
    Kernel {
        name: "newest",
        suite: "forky",
        version: "",
    },
];

/// All kernels, one component each.
pub fn all() -> impl Iterator<Item = Box<dyn Component>> {
    KERNELS
        .iter()
        .map(|kernel| Box::new(kernel.clone()) as Box<dyn Component>)
}

/// The kernels of that name; all of them without one.
///
/// # Errors
/// Where there is none of that name.
pub fn find(name: Option<&str>) -> Result<Vec<Kernel>> {
    let found: Vec<Kernel> = KERNELS
        .iter()
        .filter(|kernel| name.is_none_or(|wanted| wanted == kernel.name))
        .cloned()
        .collect();
    if found.is_empty() {
        let names: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
        bail!("no such kernel; there are {}", names.join(", "));
    }
    Ok(found)
}

impl Kernel {
    fn directory(&self) -> PathBuf {
        paths::cache().join("kernels").join(self.name)
    }

    /// The bootable image, once it is there.
    pub fn image(&self) -> Option<PathBuf> {
        let image = self.directory().join("vmlinuz");
        image.exists().then_some(image)
    }

    fn fetch(&self, log: &Path) -> Result<()> {
        let target = self.directory();
        let unfinished = target.with_extension("tmp");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let lists = unfinished.join("apt");
        let archive = Archive::open(&lists, &apt::mirror(), self.suite, log)
            .or_else(|_| Archive::open(&lists, OLD_RELEASES, self.suite, log))?;
        // The image is in linux-binary from 7.x on, and linux-image merely depends on that.
        let pattern = format!(
            "^linux-(image|binary)-{}[0-9.]+.*-cloud-amd64$",
            self.version.replace('.', r"\.")
        );
        let mut packages = archive.names(&pattern)?;
        packages.sort_by_key(|name| std::cmp::Reverse(version(name)));
        // A mirror's index can be ahead of its pool: the newest that can be had is good enough.
        let unpacked = unfinished.join("unpacked");
        let image = packages
            .iter()
            .filter(|package| archive.unpack(package, &unpacked, log).is_ok())
            .find_map(|_| image_in(&unpacked))
            .with_context(|| {
                format!("{} has none that can be had: {}", self.suite, log.display())
            })?;
        // The modules are not kept: all that a virtual machine needs is in the image.
        let kept = unfinished.join("kept");
        fs::create_dir_all(&kept)?;
        fs::rename(&image, kept.join("vmlinuz"))?;
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::rename(&kept, &target)?;
        fs::remove_dir_all(&unfinished).context("cannot clean up")
    }
}

/// The image in an unpacked package: in boot, or beside the modules from 7.x on.
fn image_in(unpacked: &Path) -> Option<PathBuf> {
    let entries = |directory: &str| {
        fs::read_dir(unpacked.join(directory))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    entries("boot")
        .chain(entries("usr/lib/modules").map(|version| version.join("vmlinuz")))
        .find(|path| {
            path.is_file()
                && path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        })
}

/// The numbers in `linux-image-6.1.0-50-cloud-amd64`, as many as there are up to four.
fn version(package: &str) -> [u32; 4] {
    let mut numbers = package
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|digits| digits.parse().ok());
    [(); 4].map(|()| numbers.next().unwrap_or(0))
}

impl Component for Kernel {
    fn name(&self) -> String {
        format!("kernel {}", self.name)
    }

    fn why(&self) -> &'static str {
        "booting it in a virtual machine"
    }

    fn missing(&self) -> Option<String> {
        self.image()
            .is_none()
            .then(|| format!("the newest of Debian {}", self.suite))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        Ok(self.fetch(log)?)
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    /// Kernel packages are ordered by their numbers, as numbers.
    #[test]
    fn versions_compare_as_numbers() {
        assert!(
            version("linux-image-5.10.0-9-cloud-amd64")
                < version("linux-image-5.10.0-32-cloud-amd64")
        );
        assert_eq!(
            version("linux-binary-7.2.12+deb14-cloud-amd64"),
            [7, 2, 12, 0]
        );
    }
}
