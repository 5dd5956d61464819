//! Programs that the tests use, from the host's own distribution.

use std::path::Path;

use super::{Component, Obstacle, apt};
use crate::shell;

/// A package of Debian's, and how to see that what it brings is there, on whatever distribution.
struct Package {
    name: &'static str,
    /// Executables on the PATH or absolute paths, any of which will do.
    any_of: &'static [&'static str],
}

const WANTED: &[Package] = &[
    Package {
        name: "python3.11",
        any_of: &["/usr/bin/python3.11"],
    },
    Package {
        name: "curl",
        any_of: &["curl"],
    },
    Package {
        name: "make",
        any_of: &["make"],
    },
    Package {
        name: "xz-utils",
        any_of: &["xz"],
    },
    Package {
        name: "musl-tools",
        any_of: &["musl-gcc"],
    },
    Package {
        name: "debootstrap",
        any_of: &["debootstrap", "/usr/sbin/debootstrap"],
    },
    Package {
        name: "debian-archive-keyring",
        any_of: &["/usr/share/keyrings/debian-archive-keyring.gpg"],
    },
    Package {
        name: "chromium",
        any_of: &["chromium", "chromium-browser", "google-chrome"],
    },
    Package {
        name: "qemu-system-x86",
        any_of: &["qemu-system-x86_64"],
    },
    // It carries the real pprof.
    Package {
        name: "golang-1.19-go",
        any_of: &["/usr/lib/go-1.19/pkg/tool/linux_amd64/pprof", "pprof"],
    },
    Package {
        name: "nodejs",
        any_of: &["node"],
    },
    Package {
        name: "npm",
        any_of: &["npm"],
    },
    // Real containers: podman starts them from a root file system, runc is the runtime that takes any mix of
    // cgroup versions.
    Package {
        name: "podman",
        any_of: &["podman"],
    },
    Package {
        name: "runc",
        any_of: &["runc"],
    },
    // Counts the instructions of the user side.
    Package {
        name: "valgrind",
        any_of: &["valgrind"],
    },
    // Reads the symbols of an interpreter, for what the tests expect of ours.
    Package {
        name: "binutils",
        any_of: &["readelf"],
    },
    Package {
        name: "gcc",
        any_of: &["gcc", "cc"],
    },
];

/// All of them, installed in one go.
pub struct Packages;

impl Component for Packages {
    fn name(&self) -> String {
        "programs for the tests".into()
    }

    fn why(&self) -> &'static str {
        "checking outputs with their real readers, and other kernels and roots"
    }

    fn missing(&self) -> Option<String> {
        let names = absent();
        (!names.is_empty()).then(|| names.join(", "))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let (known, unknown): (Vec<&str>, Vec<&str>) = absent()
            .into_iter()
            .partition(|name| apt::has_candidate(name, log));
        if !known.is_empty() {
            apt::install(&known, log)?;
        }
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(Obstacle::new(
                format!("this distribution has no {}", unknown.join(", ")),
                &[],
            ))
        }
    }
}

fn absent() -> Vec<&'static str> {
    let present = |wanted: &&'static str| {
        if wanted.starts_with('/') {
            Path::new(wanted).exists()
        } else {
            shell::which(wanted).is_some()
        }
    };
    WANTED
        .iter()
        .filter(|package| !package.any_of.iter().any(present))
        .map(|package| package.name)
        .collect()
}
