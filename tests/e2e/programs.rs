//! The programs of known truth, and the checks, against each other: a profile that a program takes of itself
//! passes every check. Needs neither root nor the profiler.

use anyhow::Result;
use end_to_end::{
    check::{Failures, is_within, names, paths, reused, sites},
    collapsed::Collapsed,
    interpreters::{self, Interpreter},
    target::Target,
};

const SAMPLES: &str = "600";

/// What a program says of itself, and the profile that it takes of itself.
fn self_profile(interpreter: &Interpreter, program: &str) -> Result<(Target, Collapsed)> {
    let target = Target::start(interpreter, "self_profile.py", [program, SAMPLES])?;
    let result = target.said("result")?;
    let text = result["collapsed"].as_str().unwrap_or_default();
    Ok((target, Collapsed::parse(text)?))
}

fn on_each(program: &str, check: impl Fn(&Target, &Collapsed) -> Result<()>) -> Result<()> {
    let mut failures = Failures::new();
    for interpreter in interpreters::required()? {
        let checked = self_profile(&interpreter, program)
            .and_then(|(target, profile)| check(&target, &profile));
        failures.expect(format!("{program} on {}", interpreter.name), checked);
    }
    failures.finish()
}

fn paths_are_kept(target: &Target, profile: &Collapsed) -> Result<()> {
    let known: Vec<Vec<String>> = target.fact("paths")?;
    let impossible = paths::impossible(profile, &known);
    anyhow::ensure!(impossible.samples == 0, "{impossible:?}");
    let met = paths::met(profile, &known);
    anyhow::ensure!(met * 2 > known.len(), "only {met} paths of {}", known.len());
    Ok(())
}

/// Makes sure that the two alternating chains keep to their paths.
#[test]
fn alternating() -> Result<()> {
    on_each("alternating.py", paths_are_kept)
}

/// Makes sure that generators and coroutines are only under the consumers that advance them.
#[test]
fn generators() -> Result<()> {
    on_each("generators.py", paths_are_kept)
}

/// Makes sure that functions that are made and freed tell their lines and callers by their names.
#[test]
fn reused_code() -> Result<()> {
    on_each("reused_code.py", |_, profile| {
        let impossible = reused::impossible(profile);
        anyhow::ensure!(impossible.samples == 0, "{impossible:?}");
        let inside = profile.share_under("make_and_run");
        anyhow::ensure!(
            inside > 0.9,
            "only {inside} of the time in functions that are made"
        );
        Ok(())
    })
}

/// Makes sure that the generated program has its call sites, that each is reached, and that its lines are known.
#[test]
fn call_sites() -> Result<()> {
    on_each("line_sites.py", |target, profile| {
        let truth: sites::Truth = serde_json::from_value(target.facts.clone())?;
        anyhow::ensure!(truth.sites > 600, "{} call sites", truth.sites);
        anyhow::ensure!(
            truth.chains.len() == truth.sites,
            "{} of {} call sites are reached",
            truth.chains.len(),
            truth.sites
        );
        let found = sites::check(profile, &truth);
        anyhow::ensure!(found.wrong.samples == 0, "{:?}", found.wrong);
        anyhow::ensure!(found.distinct.len() > 100, "{} met", found.distinct.len());
        Ok(())
    })
}

/// Makes sure that the large line table is large, and that names of callees tell its lines.
#[test]
fn large_line_table() -> Result<()> {
    on_each("large_line_table.py", |target, profile| {
        let bytes: u64 = target.fact("table_bytes")?;
        anyhow::ensure!(bytes > 100 * 1024, "{bytes} bytes");
        let (wrong, looked_at) = sites::large(profile, target.fact("modulus")?)?;
        anyhow::ensure!(wrong.samples == 0, "{wrong:?}");
        anyhow::ensure!(looked_at > 100, "{looked_at} samples");
        Ok(())
    })
}

/// Makes sure that every foreign or hostile name is that of a function that runs.
#[test]
fn hostile_names() -> Result<()> {
    on_each("hostile_names.py", |target, profile| {
        let functions: Vec<[Vec<u32>; 2]> = target.fact("functions")?;
        anyhow::ensure!(functions.len() == 22, "{} functions", functions.len());
        for [name, _] in &functions {
            anyhow::ensure!(
                profile
                    .stacks
                    .iter()
                    .any(|stack| stack.names().any(|shown| names::shows(shown, name))),
                "{name:?} is not there"
            );
        }
        Ok(())
    })
}

/// Makes sure that the split program spends 70 % and 30 %, by its own clock and by its own samples.
#[test]
fn split() -> Result<()> {
    on_each("split_70_30.py", |_, profile| {
        let share = profile.share_under("seventy");
        anyhow::ensure!(is_within(share, 0.7, 0.15), "{share} by samples");
        Ok(())
    })?;
    let mut failures = Failures::new();
    for interpreter in interpreters::required()? {
        let measured =
            Target::start(&interpreter, "split_70_30.py", [] as [&str; 0]).and_then(|target| {
                std::thread::sleep(std::time::Duration::from_millis(500));
                target.finish()
            });
        if let Some(spent) = failures.expect(&interpreter.name, measured) {
            let of = |name: &str| spent[name].as_f64().unwrap_or_default();
            let share = of("seventy") / (of("seventy") + of("thirty"));
            // The last slice may be cut.
            failures.require(
                &interpreter.name,
                is_within(share, 0.7, 0.03),
                format!("{share}"),
            );
        }
    }
    failures.finish()
}
