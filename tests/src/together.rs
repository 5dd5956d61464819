//! Several programs of one interpreter under one run of the profiler: the truth of each holds as well beside
//! others, and the tests take a third of the time. Each set is run once; all tests look at the same runs.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    collapsed::Collapsed,
    cpu::{Recorded, Recorder},
    interpreters::{self, Interpreter},
    profiler::Profiler,
    stats::Stats,
    target::Target,
};

/// Samples per second and CPU of these runs.
pub const RATE_HZ: u32 = 1000;
/// How long these runs take.
pub const DURATION: &str = "5s";

/// Programs that are profiled at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// Programs whose stacks must be one of few.
    Stacks,
    /// Call sites, shares of time, sleeping threads.
    Lines,
    /// Deep, long and hostile.
    Extremes,
    /// Stacks, lines and threads, in one run: for the builds of [`interpreters::builds`].
    Builds,
}

impl Set {
    /// The sets that every one of [`interpreters::expected`] runs.
    pub const ALL: [Self; 3] = [Self::Stacks, Self::Lines, Self::Extremes];

    /// Its programs.
    #[must_use]
    pub const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Stacks => &["alternating.py", "generators.py", "reused_code.py"],
            Self::Lines => &["line_sites.py", "split_70_30.py", "sleepers.py"],
            Self::Builds => &["alternating.py", "line_sites.py", "handed_generators.py"],
            Self::Extremes => &["recursion.py", "hostile_names.py", "large_line_table.py"],
        }
    }
}

/// One run over a set.
#[derive(Debug)]
pub struct Together {
    /// The ledger.
    pub stats: Stats,
    /// The programs' CPU times, recorded without the profiler's help.
    pub cpu: Recorded,
    programs: HashMap<&'static str, Profiled>,
}

/// One program of a run.
#[derive(Clone, Debug)]
pub struct Profiled {
    /// Its process.
    pub pid: u32,
    /// What it said of itself.
    pub facts: Value,
    /// Its samples.
    pub profile: Collapsed,
}

impl Profiled {
    /// A fact that the program said.
    ///
    /// # Errors
    /// Where it did not, or it has another form.
    pub fn fact<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.facts.get(name).with_context(|| format!("no {name}"))?;
        Ok(serde_json::from_value(value.clone())?)
    }
}

impl Together {
    /// A program of the set.
    ///
    /// # Errors
    /// Where the set has no such program.
    pub fn program(&self, name: &str) -> Result<&Profiled> {
        self.programs
            .get(name)
            .with_context(|| format!("{name} is not in this set"))
    }
}

/// A run that is shared, or why there is none.
type Shared = Result<Arc<Together>, String>;

static RUNS: LazyLock<Mutex<HashMap<(Set, String), Shared>>> = LazyLock::new(Mutex::default);

/// The run of a set on an interpreter: made the first time that it is asked for.
///
/// # Errors
/// Where the run failed; each test that asks gets the same error.
pub fn run(set: Set, interpreter: &Interpreter) -> Result<Arc<Together>> {
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    runs.entry((set, interpreter.name.clone()))
        .or_insert_with(|| {
            make(set, interpreter)
                .map(Arc::new)
                .map_err(|error| format!("{error:#}"))
        })
        .clone()
        .map_err(anyhow::Error::msg)
}

/// Every interpreter with the run of a set on it.
///
/// # Errors
/// Where interpreters are missing that must be there.
pub fn runs(set: Set) -> Result<impl Iterator<Item = (Interpreter, Result<Arc<Together>>)>> {
    Ok(interpreters::required()?
        .into_iter()
        .map(move |interpreter| {
            let run = run(set, &interpreter);
            (interpreter, run)
        }))
}

fn make(set: Set, interpreter: &Interpreter) -> Result<Together> {
    let mut targets = Vec::new();
    for program in set.programs() {
        targets.push((
            *program,
            Target::spawn(interpreter, program, [] as [&str; 0])?,
        ));
    }
    // All start at the same time; only then each is waited for.
    for (_, target) in &mut targets {
        target.facts = target.said("ready")?;
    }
    let pids: Vec<u32> = targets.iter().map(|(_, target)| target.pid()).collect();
    let recorder = Recorder::start(&pids);
    let run = Profiler::of(targets.iter().map(|(_, target)| target), RATE_HZ, DURATION).run();
    let cpu = recorder.finish()?;
    let run = run?.succeeded()?;
    let profile = run.collapsed()?;
    let programs = targets
        .into_iter()
        .map(|(program, target)| {
            let pid = target.pid();
            let profiled = Profiled {
                pid,
                facts: target.facts.clone(),
                profile: profile.of_process(pid),
            };
            (program, profiled)
        })
        .collect();
    Ok(Together {
        stats: run.stats()?.clone(),
        cpu,
        programs,
    })
}
