//! Counting.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::committed::{Counts, Verifier};
use crate::{bench::target::Busy, callgrind, shell, streams::Streams};

/// Counts everything.
pub fn measure(streams: &Streams) -> Result<Counts> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("stream");
    let file = file.to_str().context("a path that is not UTF-8")?;

    let target = Busy::start(directory.path())?;
    let pid = target.pid().to_string();
    // In the later half, which counts, all stacks of this program have been met.
    let recorded = streams.run(["record", file, "--seconds=3", "--rate=1000", "--pid", &pid])?;
    drop(target);
    let weighed = streams.run(["weigh", file])?;
    let samples = number(&weighed, "samples")?;
    ensure!(samples > 100.0, "only {samples} samples were taken");

    streams.run(["synthetic", file])?;
    let (profile, replayed) = callgrind::Profile::of(streams, &["replay", file], None)?;
    ensure!(number(&replayed, "malformed")? == 0.0, "malformed records");
    let per = |function: &str, of: &str| {
        let function = format!("streams::replay::{function}");
        Ok::<f64, anyhow::Error>(profile.total(&function)? as f64 / number(&replayed, of)?)
    };
    Ok(Counts {
        verifier: Verifier {
            kernel: kernel()?,
            instructions: serde_json::from_value(recorded["verified_instructions"].clone())?,
        },
        bytes_per_sample: number(&weighed, "bytes_per_sample")?,
        compiler: compiler(),
        user_space: BTreeMap::from([
            (
                "instructions, to decode a sample".into(),
                per("decode", "records")?,
            ),
            (
                "instructions, a sample".into(),
                per("take_steady", "samples")?,
            ),
            (
                "instructions, a record of the first half".into(),
                per("take_first", "records_first")?,
            ),
            (
                "instructions, a stack when the profile is put together".into(),
                per("finish", "stacks")?,
            ),
            (
                "allocations in the steady state".into(),
                number(&replayed, "allocations")?,
            ),
        ]),
    })
}

fn number(value: &Value, name: &str) -> Result<f64> {
    value[name]
        .as_f64()
        .with_context(|| format!("no {name} in {value}"))
}

/// `6.18` of `6.18.44-cloud`: a kernel's verifier counts in its own way.
fn kernel() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut parts = release.split(['.', '-']);
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => Ok(format!("{major}.{}", minor.trim())),
        _ => anyhow::bail!("the kernel's release is {release:?}"),
    }
}

/// What compiled the user side.
fn compiler() -> String {
    shell::output(Command::new("rustc").arg("--version")).unwrap_or_default()
}
