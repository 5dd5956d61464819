//! The real `pprof` tool reads our pprof files, with the numbers and names that were written.

mod known;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

use known::{TestResult, hostile_names};
use profiler::output::{Format, Options};

/// Where Debian's golang-N-go packages and Go's own archive have it, besides PATH.
const PPROF: &[&str] = &[
    "pprof",
    "/usr/lib/go-1.19/pkg/tool/linux_amd64/pprof",
    "/usr/lib/go/pkg/tool/linux_amd64/pprof",
    "/usr/local/go/pkg/tool/linux_amd64/pprof",
];

fn pprof() -> Result<Option<PathBuf>, Box<dyn Error>> {
    known::require(
        known::find_command(PPROF),
        "the tool pprof (Debian: golang-1.19-go)",
    )
}

/// What pprof prints about a file.
fn run(pprof: &Path, arguments: &[&str], file: &Path) -> Result<String, Box<dyn Error>> {
    let output = Command::new(pprof)
        .args(arguments)
        .arg(file)
        .env("PPROF_TMPDIR", file.parent().unwrap_or(file))
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pprof {arguments:?}: {errors}");
    assert!(!errors.contains("failed"), "pprof {arguments:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Makes sure that pprof adds up own and total times as worked out by hand, counts recursion once, and shows every
/// name as it was, with nothing that acts on a terminal.
#[test]
fn pprof_shows_the_known_times() -> TestResult {
    let Some(pprof) = pprof()? else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let file = known::write(directory.path(), Format::Pprof, &Options::default())?;

    let top = run(&pprof, &["-top", "-unit=s"], &file)?;
    assert!(
        top.contains("Showing nodes accounting for 12.50s, 100% of 12.50s total"),
        "{top}"
    );
    assert!(top.contains("Type: cpu\n"), "{top}");
    assert!(top.contains("Duration: 10s"), "{top}");
    // flat, flat %, (running sum), cum, cum %, name
    let rows: Vec<Vec<&str>> = top
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("flat"))
        .skip(1)
        .map(|line| line.splitn_columns(6))
        .collect();
    let row = |name: &str| {
        rows.iter()
            .find(|row| row[5] == name)
            .ok_or_else(|| format!("{name}: {top}"))
    };
    for (name, own, total) in [
        ("Shop.handle", "4s", "4s"),
        ("<module>", "3.50s", "12.50s"),
        ("JSONDecoder.decode", "2s", "2s"),
        ("[root frames omitted]", "0", "2.50s"),
    ] {
        let row = row(name)?;
        assert_eq!((row[0], row[3]), (own, total), "{name}");
    }
    for (_, shown) in hostile_names() {
        let row = row(&shown)?;
        assert_eq!((row[0], row[3]), ("0.25s", "0.25s"), "{shown}");
    }
    assert!(!top.contains(|c: char| c.is_control() && c != '\n'));
    Ok(())
}

/// Makes sure that pprof finds samples, lines, files and labels, and can choose by label.
#[test]
fn pprof_shows_lines_and_labels() -> TestResult {
    let Some(pprof) = pprof()? else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let file = known::write(directory.path(), Format::Pprof, &Options::default())?;

    let lines = run(&pprof, &["-top", "-lines", "-sample_index=samples"], &file)?;
    assert!(
        lines.contains("Shop.handle /srv/shop/app.py:12\n"),
        "{lines}"
    );
    assert!(
        lines.contains("Shop.handle /srv/shop/app.py:14\n"),
        "{lines}"
    );
    assert!(lines.contains("1250 total"), "{lines}");

    // Counts come as `250.0` from Go 1.19's pprof and as `250` from newer ones.
    let tags = run(&pprof, &["-tags", "-sample_index=samples"], &file)?.replace(".0 (", " (");
    for (tag, values) in [
        ("pid", &["1000 (80.00%): 4321", "250 (20.00%): 77"][..]),
        ("process", &["1000 (80.00%): web <&>", "250 (20.00%): job"]),
        (
            "thread",
            &["1050 (84.00%): MainThread", "200 (16.00%): pool; 0"],
        ),
        (
            "tid",
            &[
                "800 (64.00%): 4321",
                "250 (20.00%): 77",
                "200 (16.00%): 4322",
            ],
        ),
        ("cgroup", &["1250 (  100%): /system.slice/web.service"]),
        ("container", &["250 (  100%): jobs"]),
        ("container_id", &["250 (  100%): c0ffeec0ffee"]),
        ("container_pid", &["250 (  100%): 1"]),
        ("unit", &["1250 (  100%): web.service"]),
        ("user", &["1250 (  100%): www"]),
    ] {
        let section = tags
            .split("\n\n")
            .find(|section| section.trim_start().starts_with(&format!("{tag}:")))
            .ok_or_else(|| format!("{tag}: {tags}"))?;
        for value in values {
            assert!(section.contains(value), "{tag}: {tags}");
        }
    }

    let traces = run(&pprof, &["-traces", "-tagfocus=pid=77"], &file)?;
    let stack: Vec<_> = traces
        .lines()
        .filter(|line| line.contains("module") || line.contains('['))
        .collect();
    assert_eq!(stack.len(), 2, "{traces}");
    assert!(stack[0].ends_with("2.50s   <module>"), "{traces}");
    assert!(
        stack[1].ends_with("        [root frames omitted]"),
        "{traces}"
    );

    let raw = run(&pprof, &["-raw"], &file)?;
    assert!(
        raw.contains("PeriodType: cpu nanoseconds\nPeriod: 10000000\n"),
        "{raw}"
    );
    assert!(raw.contains("/usr/lib/libpython3.12.so.1.0"), "{raw}");

    let comments = run(&pprof, &["-comments"], &file)?;
    assert!(
        comments.contains("pyprof-ebpf --all-python -d 10"),
        "{comments}"
    );
    assert!(
        comments.contains("1,300 samples taken, 1,250 delivered, 50 lost (3.8 %)"),
        "{comments}"
    );
    Ok(())
}

/// A table's row.
trait Row {
    /// So many columns; blanks in the last belong to it.
    fn splitn_columns(&self, n: usize) -> Vec<&str>;
}

impl Row for str {
    fn splitn_columns(&self, n: usize) -> Vec<&str> {
        let mut rest = self.trim_start();
        let mut columns = Vec::new();
        for _ in 1..n {
            let (column, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            columns.push(column);
            rest = tail.trim_start();
        }
        columns.push(rest);
        columns
    }
}
