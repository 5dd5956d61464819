//! Keeps what arrives in the ring buffers while processes are profiled.

use std::{
    fs::File, io::BufWriter, os::unix::net::UnixStream, path::PathBuf, sync::Arc, time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use profiler::{
    kernel::period_ns,
    recording::{Options, Recording, discovery::Scope, stream::Writer, wait::Stop},
};
use serde_json::{Value, json};

#[derive(Args, Debug)]
pub struct Record {
    /// Where to
    file: PathBuf,
    /// How long, in seconds
    #[arg(long)]
    seconds: u64,
    /// Samples per second and CPU
    #[arg(long)]
    rate: u64,
    /// The processes
    #[arg(long = "pid", required = true)]
    pids: Vec<u32>,
}

impl Record {
    /// Records. What the verifier said of the programs.
    pub fn run(self) -> Result<Value> {
        let file = File::create(&self.file)
            .with_context(|| format!("cannot write {}", self.file.display()))?;
        let pids = self.pids.into_iter().collect();
        let children = false;
        let options = Options {
            duration: Some(Duration::from_secs(self.seconds)),
            ..Options::new(Scope::These { pids, children }, self.rate)
        };
        let mut recording = Recording::begin(options, &[])?;
        let writer = Writer::new(BufWriter::new(file), period_ns(self.rate));
        recording.keep_stream(Some(writer));
        recording.discover()?;
        ensure!(recording.profiled() > 0, "no Python among these processes");
        let (wakes, _signals) = UnixStream::pair()?;
        let flag = Arc::default();
        recording.run(&Stop { flag, wakes }, None, |_| ())?;
        if let Some(writer) = recording.keep_stream(None) {
            writer.finish()?;
        }
        let verified = recording.verified_instructions().into_iter();
        Ok(json!({
            "samples": recording.progress().samples,
            "verified_instructions": verified.collect::<std::collections::BTreeMap<_, _>>(),
        }))
    }
}
