//! npm packages: the readers of what the profiler writes.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{Component, Obstacle};
use crate::{paths, shell};

/// playwright-core drives the browser; speedscope has the importer of its own format.
const PACKAGES: &[(&str, &str)] = &[("playwright-core", "1.65.1"), ("speedscope", "1.25.0")];

/// The packages, in the cache's `node` directory.
pub struct NodePackages;

impl Component for NodePackages {
    fn name(&self) -> String {
        "npm packages".into()
    }

    fn why(&self) -> &'static str {
        "opening flame graphs in a browser and profiles in speedscope"
    }

    fn missing(&self) -> Option<String> {
        let modules = paths::cache().join("node/node_modules");
        let absent: Vec<&str> = PACKAGES
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !modules.join(name).join("package.json").exists())
            .collect();
        (!absent.is_empty()).then(|| absent.join(", "))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let directory = paths::cache().join("node");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let mut command = Command::new("npm");
        command
            .args([
                "install",
                "--no-fund",
                "--no-audit",
                "--ignore-scripts",
                "--prefix",
            ])
            .arg(&directory);
        for (name, version) in PACKAGES {
            command.arg(format!("{name}@{version}"));
        }
        shell::run_logged(&mut command, log)
            .map_err(|error| Obstacle::new(format!("{error:#}"), &[&shell::display(&command)]))
    }
}
