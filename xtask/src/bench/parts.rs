//! The parts of a sample's way through the kernel side: measured by having samples stop behind each of them.

use anyhow::{Context, Result};

use super::{
    Setting,
    interpreter::Interpreter,
    table::{markdown, median},
    target::{Busy, FRAMES, Functions},
};
use crate::streams::Streams;

/// What lies before each stop, and the stop's name; the last one is the way's end.
const PARTS: [(&str, Option<&str>); 5] = [
    (
        "program entry, process, begin of the record",
        Some("process"),
    ),
    ("thread state, newest frame", Some("thread")),
    ("frames, code objects, hash", Some("walk")),
    ("stack known?", Some("stack")),
    ("ring buffer, ledger", None),
];

/// Returns a table: parts by interpreter, in ns; `nothing` is what a firing costs that finds nothing to sample.
pub fn measure(
    setting: &Setting,
    streams: &Streams,
    interpreters: &[Interpreter],
    rate_hz: u32,
    nothing: f64,
) -> Result<String> {
    let mut columns = Vec::new();
    for &interpreter in interpreters {
        for functions in [Functions::One, Functions::Each] {
            columns.push(column(
                setting,
                streams,
                (interpreter, functions),
                rate_hz,
                nothing,
            )?);
        }
    }
    let mut rows: Vec<Vec<String>> = PARTS
        .iter()
        .map(|(part, _)| vec![(*part).to_owned()])
        .collect();
    let mut all = vec!["all".to_owned()];
    for column in &columns {
        let mut before = 0.0;
        for (row, &until) in rows.iter_mut().zip(column) {
            row.push(format!("{:.0}", until - before));
            before = until;
        }
        all.push(format!("{before:.0}"));
    }
    rows.push(all);
    let mut header = vec![String::new()];
    for interpreter in interpreters {
        header.push(interpreter.name());
        header.push("distinct".to_owned());
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    Ok(markdown(&header, &rows))
}

/// How long a sample takes until each of the stops (ns).
fn column(
    setting: &Setting,
    streams: &Streams,
    (interpreter, functions): (Interpreter, Functions),
    rate_hz: u32,
    nothing: f64,
) -> Result<Vec<f64>> {
    let directory = tempfile::tempdir()?;
    let busy = Busy::start_with(interpreter, FRAMES, functions, directory.path())?;
    let (pid, rate) = (busy.pid().to_string(), rate_hz.to_string());
    let seconds = setting.seconds.to_string();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); PARTS.len()];
    for run in 1..=setting.runs {
        eprintln!(
            "bench: a sample: parts on {}, run {run}",
            interpreter.name()
        );
        for ((_, stop), times) in PARTS.iter().zip(&mut times) {
            let mut arguments = vec![
                "cost",
                "--pid",
                &pid,
                "--rate",
                &rate,
                "--seconds",
                &seconds,
            ];
            arguments.extend(stop.iter().flat_map(|stop| ["--stop-after", *stop]));
            let said = streams.run(arguments)?;
            let of = |name: &str| {
                said[name]
                    .as_f64()
                    .with_context(|| format!("no {name}: {said}"))
            };
            let (ns, runs, samples) = (of("ns")?, of("runs")?, of("samples")?);
            times.push((ns - (runs - samples) * nothing) / samples);
        }
    }
    Ok(times.into_iter().map(median).collect())
}
