//! `examples/flights.py`, as README.md shows it.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{number, twice},
    environment::{Turn, skip},
    interpreters::cache_directory,
    profiler::Profiler,
};
use serde_json::Value;

/// Makes sure that the share of `iterrows` and what it calls is what the program measures itself, within 3 points.
#[test]
fn the_share_of_iterrows() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let python = cache_directory().join("venv-flights/bin/python");
    if !python.exists() {
        skip("numpy and pandas are not there: cargo xtask setup provides them");
        return Ok(());
    }
    twice(|| the_share_is_right(&python))
}

fn the_share_is_right(python: &Path) -> Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flights.py");
    let mut command = Command::new(python);
    command
        .arg(example)
        .args(["--flights", "300000", "--measure"]);
    let run = Profiler::new()
        .args(["-r", "999"])
        .launching(&command)
        .run()?
        .succeeded()?;
    let measured = run
        .stdout
        .lines()
        .find_map(|line| serde_json::from_str::<Value>(line).ok()?["share"].as_f64())
        .with_context(|| format!("the program measured nothing:\n{}", run.stdout))?;
    let profile = run.collapsed()?;
    let under = |stack: &end_to_end::collapsed::Stack| {
        stack
            .names()
            .any(|name| name == "iterrows" || name.ends_with(".iterrows"))
    };
    let samples = profile.samples();
    ensure!(samples > 500, "{samples} samples");
    // Between the stopwatch's two looks at the clock lies half of what it does itself: the end of the one system call
    // and the begin of the other.
    let stopwatch = |stack: &end_to_end::collapsed::Stack| {
        !under(stack) && stack.names().any(|name| name == "Stopwatch.__next__")
    };
    let share = (number(profile.samples_where(under))
        + number(profile.samples_where(stopwatch)) / 2.0)
        / number(samples);
    ensure!(
        (share - measured).abs() <= 0.03,
        "the profile says {share:.3}, the program {measured:.3}"
    );
    Ok(())
}
