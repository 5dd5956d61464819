//! Lines and columns against CPython's own answers.

use std::{
    io::{BufReader, Read},
    process::{Child, Stdio},
    sync::Mutex,
    thread,
};

use anyhow::{Context, Result, ensure};
use end_to_end::interpreters::{self, Interpreter};
use profiler::symbols::lines::{Position, position};
use profiler_common::cpython::layout::line_table;

const PROGRAM: &str = include_str!("../programs/line_tables.py");
/// What the smallest standard library under test has, and some.
const LEAST_CODE_OBJECTS: usize = 10_000;
const HUGE_TABLE_BYTES: usize = 100 * 1024;
/// No length in the stream is anywhere near.
const MOST_BYTES: usize = 1 << 26;

/// What was compared for one interpreter.
#[derive(Debug, Default)]
struct Compared {
    files: usize,
    code_objects: usize,
    units: usize,
    lines: usize,
    columns: usize,
    longest_table: usize,
    differences: Vec<String>,
    difference_count: usize,
}

/// Makes sure that every code unit of every code object in the standard library of every interpreter,
/// and of a function whose table is longer than 100 KiB and jumps back and forth, has the lines and
/// columns that CPython itself gives: `dis.findlinestarts` up to 3.9, `co_lines()` in 3.10,
/// `co_positions()` from 3.11 on.
#[test]
fn the_standard_library() -> Result<()> {
    let queue = Mutex::new(interpreters::required()?.into_iter());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<(Interpreter, Result<Compared>)> = thread::scope(|scope| {
        let work = || {
            let next = || queue.lock().ok().and_then(|mut queue| queue.next());
            std::iter::from_fn(next)
                .map(|one| {
                    let compared = compare(&one);
                    (one, compared)
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a worker panicked"))
            .collect()
    });

    for (interpreter, compared) in results {
        let name = &interpreter.name;
        let compared = compared.with_context(|| name.clone())?;
        println!(
            "{name}: {} files, {} code objects, {} code units ({} with a line, {} with columns), \
             longest table {} bytes, {} differences",
            compared.files,
            compared.code_objects,
            compared.units,
            compared.lines,
            compared.columns,
            compared.longest_table,
            compared.difference_count,
        );
        ensure!(
            compared.difference_count == 0,
            "{name}: {} code units differ, such as\n{}",
            compared.difference_count,
            compared.differences.join("\n"),
        );
        ensure!(
            compared.code_objects > LEAST_CODE_OBJECTS,
            "{name}: too few code objects"
        );
        ensure!(
            compared.longest_table > HUGE_TABLE_BYTES,
            "{name}: the huge table is missing"
        );
        ensure!(compared.lines > compared.units / 2, "{name}: too few lines");
        ensure!(
            (compared.columns > compared.units / 2) == (interpreter.version >= (3, 11)),
            "{name}: columns are there from 3.11 on, and only then"
        );
    }
    Ok(())
}

/// Runs the program in an interpreter and compares as its output comes.
fn compare(interpreter: &Interpreter) -> Result<Compared> {
    let format = match interpreter.version {
        (3, ..=9) => line_table::LNOTAB,
        (3, 10) => line_table::LINETABLE_310,
        _ => line_table::LOCATIONS,
    };
    let mut child = interpreter
        .command()
        .args(["-I", "-W", "ignore", "-c", PROGRAM])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let compared = compare_stream(&mut child, format);
    if compared.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let compared = compared?;
    ensure!(status.success(), "the program failed: {status}");
    Ok(compared)
}

fn compare_stream(child: &mut Child, format: u8) -> Result<Compared> {
    let output = child.stdout.take().context("no standard output")?;
    let mut stream = BufReader::with_capacity(1 << 20, output);
    let mut compared = Compared::default();
    loop {
        let [length, first_line, runs] = numbers(&mut stream)?;
        if length == -1 {
            compared.files = usize::try_from(first_line)?;
            ensure!(
                compared.code_objects == usize::try_from(runs)?,
                "code objects got lost"
            );
            return Ok(compared);
        }
        let table = bytes(&mut stream, usize::try_from(length)?)?;
        let runs = bytes(&mut stream, usize::try_from(runs)? * 20)?;
        compared.longest_table = compared.longest_table.max(table.len());
        compared.code_objects += 1;

        let mut instruction = 0;
        for run in runs.as_chunks::<20>().0 {
            let [units, location @ ..]: [i32; 5] = words(run);
            let [line, end_line, column, end_column] =
                location.map(|word| u32::try_from(word).ok());
            let expected = Position {
                line,
                end_line,
                column,
                end_column,
            };
            for _ in 0..units {
                compared.unit(
                    expected,
                    position(format, &table, first_line, instruction),
                    || format!("line {first_line}, instruction {instruction}"),
                );
                instruction += 2;
            }
        }
    }
}

impl Compared {
    fn unit(&mut self, expected: Position, found: Position, place: impl Fn() -> String) {
        self.units += 1;
        self.lines += usize::from(expected.line.is_some());
        self.columns += usize::from(expected.column.is_some());
        if expected != found {
            self.difference_count += 1;
            if self.differences.len() < 5 {
                self.differences.push(format!(
                    "{}: {expected:?} expected, {found:?} found",
                    place()
                ));
            }
        }
    }
}

fn numbers(stream: &mut impl Read) -> Result<[i32; 3]> {
    let mut raw = [0; 12];
    stream
        .read_exact(&mut raw)
        .context("the stream ended early")?;
    Ok(words(&raw))
}

fn words<const BYTES: usize, const WORDS: usize>(raw: &[u8; BYTES]) -> [i32; WORDS] {
    let mut chunks = raw.as_chunks().0.iter();
    std::array::from_fn(|_| chunks.next().map_or(0, |chunk| i32::from_ne_bytes(*chunk)))
}

fn bytes(stream: &mut impl Read, length: usize) -> Result<Vec<u8>> {
    ensure!(length <= MOST_BYTES, "the stream is out of step");
    let mut raw = vec![0; length];
    stream
        .read_exact(&mut raw)
        .context("the stream ended early")?;
    Ok(raw)
}
