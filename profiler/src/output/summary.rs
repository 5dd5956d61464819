//! What a person reads when a recording has ended. Every text in it is safe for a terminal.

use std::{
    cmp::Reverse,
    io::{self, Write},
};

use crate::profile::model::{Process, Profile};

pub use super::written::Written;
use super::{
    NO_SAMPLES, Options, budget,
    hottest::hottest,
    memory, table,
    text::{count, counted, for_terminal, percent, time},
};

/// How many rows each table shows at most.
const ROWS: usize = 10;
/// The least width that a container's name is cut to: a short id fits.
const CONTAINER_MIN: usize = 12;
/// The least width that rows are cut to, in columns.
const COLUMNS_MIN: usize = 60;

/// Writes the summary; rows are cut to so many columns.
///
/// # Errors
/// Where `out` fails.
pub fn write(
    profile: &Profile,
    options: &Options,
    written: Option<Written<'_>>,
    columns: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let columns = columns.max(COLUMNS_MIN);
    write_functions(profile, options, columns, out)?;
    write_processes(profile, columns, out)?;
    write_refused(profile, columns, out)?;
    write_ledger(profile, out)?;
    write_cost(profile, out)?;
    if let Some(written) = written {
        written.say(out)?;
    }
    out.flush()
}

fn write_functions(
    profile: &Profile,
    options: &Options,
    columns: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let total: u64 = profile.samples.iter().map(|sample| sample.weight_ns).sum();
    if total == 0 {
        return writeln!(out, "{NO_SAMPLES}\n");
    }
    // What only calls others is in the picture; here it would be a row of noughts.
    let mut hot = hottest(profile, options);
    hot.retain(|hot| hot.own_ns > 0);
    let mut rows = vec![[
        "own".into(),
        String::new(),
        "total".into(),
        String::new(),
        "function".into(),
    ]];
    rows.extend(hot.iter().take(ROWS).map(|hot| {
        [
            time(hot.own_ns),
            percent(hot.own_ns, total),
            time(hot.total_ns),
            percent(hot.total_ns, total),
            hot.text.clone(),
        ]
    }));
    writeln!(out, "Hottest functions, of {} of CPU time", time(total))?;
    table::write(&rows, columns, out)?;
    write_more(hot.len(), out)
}

fn write_processes(profile: &Profile, columns: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut profiled: Vec<_> = profile
        .processes
        .iter()
        .filter(|process| process.refused.is_none())
        .collect();
    if profiled.is_empty() {
        return Ok(());
    }
    profiled.sort_by_key(|p| (Reverse(p.cpu_ns), Reverse(p.ledger.delivered), p.pid));
    let shown = &profiled[..profiled.len().min(ROWS)];
    // Most hosts of one kind have no containers, or nothing else: a column of dashes is for neither.
    let has_containers = shown.iter().any(|process| process.container.is_some());
    let mut head = vec!["pid", "CPU time", "samples", "lost", "Python"];
    head.extend(has_containers.then_some("container"));
    head.push("command");
    let mut rows: Vec<Vec<String>> = vec![head.into_iter().map(String::from).collect()];
    rows.extend(shown.iter().map(|process| {
        let mut row = vec![
            match process.others {
                0 => process.pid.to_string(),
                others => format!("{} +{}", process.pid, count(others.into())),
            },
            process.cpu_ns.map_or_else(|| "?".into(), time),
            count(process.ledger.delivered),
            count(process.ledger.lost_total()),
            process.python.clone().unwrap_or_else(|| "?".into()),
        ];
        row.extend(has_containers.then(|| match &process.container {
            Some(name) => for_terminal(name, CONTAINER_MIN.max(columns / 6)),
            None => "-".into(),
        }));
        row.push(command(process).into());
        row
    }));
    writeln!(
        out,
        "{}",
        counted(
            profiled.len() as u64,
            "process profiled",
            "processes profiled"
        )
    )?;
    table::write(&rows, columns, out)?;
    write_more(profiled.len(), out)
}

fn write_refused(profile: &Profile, columns: usize, out: &mut dyn Write) -> io::Result<()> {
    let refused: Vec<_> = profile
        .processes
        .iter()
        .filter_map(|process| Some((process, process.refused.as_deref()?)))
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{}",
        counted(
            refused.len() as u64,
            "process could not be profiled",
            "processes could not be profiled"
        )
    )?;
    let mut reasons: Vec<(&str, Vec<&Process>)> = Vec::new();
    for (process, reason) in refused {
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, processes)) => processes.push(process),
            None => reasons.push((reason, vec![process])),
        }
    }
    for (reason, processes) in reasons.iter().take(ROWS) {
        let row = format!("{}: {reason}", who(processes));
        writeln!(out, "  {}", for_terminal(&row, columns.max(160) - 2))?;
    }
    write_more(reasons.len(), out)
}

/// Some processes of a kind.
fn who(processes: &[&Process]) -> String {
    /// How many of them are named.
    const NAMED: usize = 3;
    let mut names: Vec<String> = processes
        .iter()
        .take(NAMED)
        .map(|process| {
            let place = match &process.container {
                Some(name) => format!(" in container {name}"),
                None => String::new(),
            };
            format!("pid {} ({}{place})", process.pid, process.comm)
        })
        .collect();
    if processes.len() > NAMED {
        names.push(format!("{} more", count((processes.len() - NAMED) as u64)));
    }
    names.join(", ")
}

fn write_ledger(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let ledger = &profile.ledger;
    let lost = ledger.lost_total();
    write!(
        out,
        "{} taken, ",
        counted(ledger.taken, "sample", "samples")
    )?;
    if lost == 0 {
        writeln!(out, "none lost")?;
    } else {
        let reasons: Vec<_> = ledger
            .lost
            .iter()
            .map(|(outcome, &samples)| format!("{} because {}", count(samples), outcome.words()))
            .collect();
        writeln!(
            out,
            "{} lost ({}): {}; times are scaled up to make good for them",
            count(lost),
            percent(lost, ledger.taken),
            reasons.join(", ")
        )?;
    }
    if ledger.truncated > 0 {
        writeln!(
            out,
            "{} a stack that is not whole; a mark stands where frames are missing",
            counted(ledger.truncated, "sample has", "samples have")
        )?;
    }
    if !ledger.balances() {
        writeln!(
            out,
            "The samples do not add up: {} delivered and {} lost of {} taken. This is a defect of pyprof-ebpf.",
            count(ledger.delivered),
            count(lost),
            count(ledger.taken)
        )?;
    }
    Ok(())
}

fn write_cost(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let recording = &profile.recording;
    let bpf_ns = recording.profiler_bpf_ns.unwrap_or(0);
    let cpu_ns = recording.profiler_cpu_ns.saturating_add(bpf_ns);
    let scope = match recording.profiler_bpf_ns {
        Some(_) => "",
        None => ", its part in the kernel not counted",
    };
    writeln!(
        out,
        "The profiler itself took {} of CPU time ({} of one CPU{scope}) and {} MB",
        time(cpu_ns),
        percent(cpu_ns, recording.duration_ns),
        recording.profiler_rss_peak_bytes.div_ceil(1_000_000)
    )?;
    let sentences = [
        budget::sentence(recording),
        memory::sentence(profile),
        memory::folded(profile),
    ];
    for sentence in sentences.into_iter().flatten() {
        writeln!(out, "{sentence}")?;
    }
    Ok(())
}

/// The command line, or the kernel's name of a process that has none.
fn command(process: &Process) -> &str {
    if process.command_line.is_empty() {
        &process.comm
    } else {
        &process.command_line
    }
}

/// Says how many rows were left out, and ends the paragraph.
fn write_more(all: usize, out: &mut dyn Write) -> io::Result<()> {
    if all > ROWS {
        writeln!(out, "  and {} more", count((all - ROWS) as u64))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use crate::{
        output::Format,
        output::testing::{example, hostile, hostile_names, recording},
        profile::builder::Builder,
    };

    use super::*;

    fn summary(profile: &Profile, written: Option<Written<'_>>, columns: usize) -> String {
        let mut out = Vec::new();
        write(profile, &Options::default(), written, columns, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Makes sure that the summary says what was hot, who ran, what was refused and lost, and where the file is.
    #[test]
    fn a_person_can_act_on_it() {
        let written = Written {
            path: Some(Path::new("my profile.svg")),
            format: Format::Flamegraph,
        };
        assert_eq!(
            summary(&example(), Some(written), 100),
            "\
Hottest functions, of 1.90 s of CPU time
     own           total           function
  1.00 s  52.6 %  1.90 s  100.0 %  main (shop/app.py:1)
  800 ms  42.1 %  800 ms   42.1 %  Shop.handle (shop/app.py:10)
  100 ms   5.3 %  100 ms    5.3 %  decode (json/decoder.py:30)

2 processes profiled
  pid  CPU time  samples  lost  Python  container  command
   20    1.00 s      100     0  3.8.18       jobs  job app.py
   10    1.00 s       90    10  3.12.1          -  web app.py

1 process could not be profiled
  pid 30 (old): Python 2.7 is not supported

200 samples taken, 10 lost (5.0 %): 7 because the ring buffer was full, 3 because its stack was not known; \
times are scaled up to make good for them
100 samples have a stack that is not whole; a mark stands where frames are missing
The profiler itself took 25.0 ms of CPU time (0.2 % of one CPU) and 21 MB

Wrote my profile.svg
  open it in a browser: xdg-open 'my profile.svg'
"
        );
    }

    /// Makes sure that a recording without samples says so, and a ledger that does not balance is not passed over.
    #[test]
    fn exceptions_are_said() {
        let mut profile = Builder::new().finish(recording());
        let text = summary(&profile, None, 80);
        assert!(text.starts_with("No samples: "), "{text}");
        assert!(!text.contains("add up"), "{text}");
        profile.ledger.taken = 3;
        let text = summary(&profile, None, 80);
        assert!(text.contains("0 delivered and 0 lost of 3 taken"), "{text}");
    }

    /// Makes sure that many processes with the same reason are one line, which names some and counts the rest.
    #[test]
    fn a_reason_is_said_once() {
        let mut profile = example();
        let refused: Vec<_> = (30..35)
            .map(|pid| Process {
                pid,
                ..profile.processes[2].clone()
            })
            .collect();
        profile.processes.truncate(2);
        profile.processes.extend(refused);
        let text = summary(&profile, None, 80);
        assert!(
            text.contains(
                "5 processes could not be profiled\n  pid 30 (old), pid 31 (old), pid 32 (old), 2 more: Python 2.7 is"
            ),
            "{text}"
        );
    }

    /// Makes sure that long tables are cut and say by how much.
    #[test]
    fn long_tables_are_cut() {
        let names: Vec<_> = (0..15).map(|i| format!("f{i}")).collect();
        let text = summary(&hostile(&names), None, 80);
        assert_eq!(text.matches("  and 5 more\n").count(), 2, "{text}");
    }

    /// Makes sure that functions which only call others are neither shown nor counted.
    #[test]
    fn callers_are_no_rows() {
        let names: Vec<_> = (0..15).map(|i| format!("f{i}")).collect();
        let mut profile = hostile(&names);
        let leaf = profile.stacks[0].frames[0];
        for stack in &mut profile.stacks {
            stack.frames.push(leaf);
        }
        let text = summary(&profile, None, 80);
        let functions = text.split("\n\n").next().unwrap();
        assert_eq!(functions.lines().count(), 3, "{functions}");
        assert!(functions.ends_with("100.0 %  f0 (f0:1)"), "{functions}");
    }

    fn check(names: &[String]) {
        let name = names.join("");
        let written = Written {
            path: Some(Path::new(&name)),
            format: Format::Pprof,
        };
        let text = summary(&hostile(names), Some(written), 80);
        for line in text.split('\n') {
            assert!(
                !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
                "{line:?}"
            );
        }
        for row in text.split("\n\n").take(2).flat_map(str::lines) {
            assert!(row.width() <= 80, "{row}");
        }
    }

    /// Makes sure that nothing from a profiled process reaches the terminal as anything but text.
    #[test]
    fn hostile_names_are_only_text() {
        check(&hostile_names());
    }

    proptest! {
        /// Makes sure of the same for any names.
        #[test]
        fn any_names_are_only_text(names in prop::collection::vec(any::<String>(), 1..5)) {
            check(&names);
        }
    }
}
