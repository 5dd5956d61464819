//! What samples cost the kernel, also where they stop on their way.

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use profiler::recording::{Options, Recording, discovery::Scope, wait::Stop};
use profiler_common::shared;
use serde_json::{Value, json};

#[derive(Args, Debug)]
pub struct Cost {
    /// How long, in seconds
    #[arg(long)]
    seconds: u64,
    /// How long before that, until only the steady state is left, in seconds
    #[arg(long, default_value_t = 1)]
    settle: u64,
    /// Samples per second and CPU
    #[arg(long)]
    rate: u64,
    /// A process
    #[arg(long)]
    pid: u32,
    /// How far samples go
    #[arg(long, value_enum)]
    stop_after: Option<Part>,
}

/// A part of a sample's way.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    Process,
    Thread,
    Walk,
    Stack,
}

impl From<Part> for shared::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Process => Self::Process,
            Part::Thread => Self::Thread,
            Part::Walk => Self::Walk,
            Part::Stack => Self::Stack,
        }
    }
}

impl Cost {
    /// Samples. How many samples were begun, how often programs ran, and the time that they took.
    pub fn run(self) -> Result<Value> {
        let scope = Scope::These {
            pids: [self.pid].into_iter().collect(),
            children: false,
        };
        let settle = Duration::from_secs(self.settle);
        let options = Options {
            duration: Some(settle + Duration::from_secs(self.seconds)),
            count_run_time: true,
            stop_after: self.stop_after.map(Into::into),
            ..Options::new(scope, self.rate)
        };
        let mut recording = Recording::begin(options, &[])?;
        recording.discover()?;
        ensure!(recording.profiled() > 0, "no Python in this process");
        let (wakes, _signals) = UnixStream::pair()?;
        let flag = Arc::default();
        let (mut first, mut last) = (None, None);
        recording.run(&Stop { flag, wakes }, None, |recording| {
            if recording.progress().elapsed >= settle {
                last = recording.cost();
                first = first.or(last);
            }
        })?;
        let (first, first_taken) = first.context("the kernel does not count run times")?;
        let (last, last_taken) = last.context("the kernel does not count run times")?;
        let ns = u64::try_from((last.time - first.time).as_nanos())?;
        Ok(json!({
            "samples": last_taken - first_taken,
            "runs": last.runs - first.runs,
            "ns": ns,
        }))
    }
}
