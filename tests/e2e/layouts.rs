//! Interpreters are found in processes, and the layouts that are assumed are those of their headers.

mod layouts {
    pub mod headers;
    pub mod target;
}

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use end_to_end::interpreters::{self, Interpreter};
use layouts::{
    headers::{self, Headers},
    target::Target,
};
use profiler::interpreter::{
    Cache, Found,
    check::check,
    debug_offsets,
    elf::FileSource,
    find,
    image::{Analysis, Image, analyse},
};
use profiler_common::cpython::layout::feature;

/// Makes sure that each interpreter is found in a running process with its version, and that its layout is, field
/// by field, what `offsetof` gives over its own headers.
#[test]
fn layouts_are_those_of_the_headers() -> Result<()> {
    for interpreter in interpreters::required()? {
        let Some(headers) = Headers::of(&interpreter)? else {
            continue;
        };
        let image = image(&interpreter)?;
        let expected = headers.layout(&[])?;
        headers::compare(&image.layout, &expected).with_context(|| interpreter.name.clone())?;
        ensure!(
            expected["type_flags"] == image.type_flags,
            "{}: tp_flags",
            interpreter.name
        );
        ensure!(
            expected["thread_interpreter"] == image.thread_interpreter,
            "{}: PyThreadState.interp",
            interpreter.name
        );
    }
    Ok(())
}

/// Makes sure that the words in `_PyRuntime` are those of the headers, up to 3.12 where they come from a table.
#[test]
fn runtime_words_are_those_of_the_headers() -> Result<()> {
    for interpreter in interpreters::required()? {
        let Some(headers) = Headers::of(&interpreter)? else {
            continue;
        };
        if !(7..=12).contains(&interpreter.version.1) {
            continue;
        }
        let (image, expected) = (image(&interpreter)?, headers.layout(&[])?);
        let head = image.interpreters_head.context("no list of interpreters")?;
        let runtime = head - expected["interpreters_head"];
        let symbol = headers::symbol(&file(&interpreter)?, "_PyRuntime")?;
        ensure!(runtime == symbol, "{}: interpreters.head", interpreter.name);
        let current = expected.get("current_thread").map(|offset| symbol + offset);
        ensure!(
            image.current_thread == current,
            "{}: tstate_current",
            interpreter.name
        );
    }
    Ok(())
}

/// Makes sure that what an interpreter of 3.14 or newer would publish if it were built from these headers gives
/// the headers' own layout: with the GIL and without, for release and for debugging, and as a version to come.
#[test]
fn published_offsets_give_the_headers_layout() -> Result<()> {
    const WITHOUT_GIL: &str = "-DPy_GIL_DISABLED=1";
    for interpreter in interpreters::required()? {
        let Some(headers) = Headers::of(&interpreter)? else {
            continue;
        };
        if interpreter.version < (3, 14) {
            continue;
        }
        for flags in [
            &[][..],
            &[WITHOUT_GIL],
            &["-DPy_DEBUG=1"],
            &[WITHOUT_GIL, "-DPy_DEBUG=1"],
            &["-DPy_TRACE_REFS=1"],
        ] {
            let build = || format!("{} {flags:?}", interpreter.name);
            let (expected, bytes) = (headers.layout(flags)?, headers.published(flags)?);
            let parse = |bytes: &[u8]| {
                debug_offsets::parse(bytes)
                    .map_err(anyhow::Error::msg)
                    .with_context(build)
            };
            let layout = parse(&bytes)?.layout;
            headers::compare(&layout, &expected).with_context(build)?;
            let free_threaded = layout.features & feature::FREE_THREADED != 0;
            ensure!(free_threaded == flags.contains(&WITHOUT_GIL), "{}", build());
            if interpreter.version == (3, 15) {
                let mut next = bytes;
                next[8..16].copy_from_slice(&0x0310_00a1_u64.to_le_bytes());
                ensure!(parse(&next)?.layout == layout, "3.16 like {}", build());
            }
        }
    }
    Ok(())
}

/// Makes sure that the running thread, its frames and their code objects are reached through the layout in each
/// interpreter, and are what the program itself says they are.
#[test]
fn structures_are_reached_in_live_processes() -> Result<()> {
    let mut cache = Cache::default();
    for interpreter in interpreters::required()? {
        let target = Target::start(&interpreter)?;
        target
            .check(&mut cache)
            .with_context(|| interpreter.name.clone())?;
    }
    Ok(())
}

/// Makes sure that in a 3.6 without symbol table the list of interpreters is found by way of the running thread.
#[test]
fn a_stripped_3_6_is_found() -> Result<()> {
    let Some(interpreter) = interpreters::required()?
        .into_iter()
        .find(|one| one.version == (3, 6))
    else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let stripped = directory.path().join("libpython3.6m.so.1.0");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(file(&interpreter)?)
        .status()?;
    ensure!(status.success(), "cannot strip a library");
    let source = open(&stripped)?;
    let Analysis::Python(image) = analyse(&source) else {
        bail!("not found in {}", stripped.display());
    };
    ensure!(
        image.interpreters_head.is_none(),
        "the list's head is not in a stripped file"
    );

    let mut target = Target::start_with(
        interpreter
            .command()
            .env("LD_LIBRARY_PATH", directory.path()),
    )?;
    target.go()?;
    let mut cache = Cache::default();
    for _ in 0..1000 {
        let Found::Python(found) = find(target.pid(), &mut cache) else {
            bail!("not found in a process");
        };
        ensure!(
            found
                .path
                .starts_with(directory.path().to_str().unwrap_or("/")),
            "{}",
            found.path
        );
        if found.interpreters != 0 {
            return target.check_thread(&found).map(drop);
        }
        // Nobody had the GIL.
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("no thread was ever seen to have the GIL")
}

/// Makes sure that Python 2.7 is refused by its name.
#[test]
fn python_2_7_is_refused() -> Result<()> {
    // Beside the pyenv interpreters that can be profiled.
    let expected = interpreters::expected();
    let versions = expected
        .iter()
        .find_map(|one| one.executable.ancestors().nth(3).filter(|_| is_shared(one)));
    let Some(executable) = versions.map(|versions| versions.join("2.7.18/bin/python2.7")) else {
        return Ok(());
    };
    if !executable.exists() && std::env::var_os("CI").is_none() {
        eprintln!("skipped for want of Python 2.7");
        return Ok(());
    }
    let target = Target::start_with(&mut Command::new(executable))?;
    match find(target.pid(), &mut Cache::default()) {
        Found::Refused {
            version,
            interpreter,
            reason,
        } => {
            ensure!(version.as_deref() == Some("2.7.18"), "version {version:?}");
            ensure!(
                interpreter.is_some_and(|path| path.contains("libpython2.7")),
                "no path"
            );
            ensure!(reason == "Python 2.7 is not supported", "{reason}");
            Ok(())
        }
        found => bail!("{found:?}"),
    }
}

/// Makes sure that a program without Python is told so, one that is linked to libpython is known as such, and a
/// process that has gone is gone.
#[test]
fn processes_without_python() -> Result<()> {
    let mut cache = Cache::default();
    let mut sleeper = Command::new("sleep").arg("60").spawn()?;
    let found = find(sleeper.id(), &mut cache);
    sleeper.kill()?;
    sleeper.wait()?;
    ensure!(found == Found::NotPython, "sleep: {found:?}");
    let found = find(sleeper.id(), &mut cache);
    ensure!(found == Found::Gone, "gone: {found:?}");
    for interpreter in interpreters::required()?
        .iter()
        .filter(|one| is_shared(one))
    {
        let analysis = analyse(&open(&interpreter.executable)?);
        ensure!(
            analysis == Analysis::LinksToPython,
            "{}: {analysis:?}",
            interpreter.name
        );
    }
    Ok(())
}

/// Makes sure that of two interpreters in one process the one is found that was started.
#[test]
fn the_interpreter_that_runs_is_found() -> Result<()> {
    let all = interpreters::required()?;
    let shared: Vec<&Interpreter> = all.iter().filter(|one| is_shared(one)).collect();
    for (one, other) in shared.iter().zip(shared.iter().skip(1)) {
        let load = format!(
            "import ctypes; ctypes.CDLL({:?})",
            file(other)?.display().to_string()
        );
        let target = Target::start_after(&load, &mut one.command())?;
        match find(target.pid(), &mut Cache::default()) {
            Found::Python(found) if found.version.feature() == (3, one.version.1 as u8) => {}
            found => bail!("{} with {}: {found:?}", one.name, other.name),
        }
    }
    Ok(())
}

/// Makes sure that a genuine interpreter's file that was cut short or damaged gives an answer, and that no answer
/// holds a layout which breaks its promises.
#[test]
fn damaged_files_give_an_answer() -> Result<()> {
    for interpreter in interpreters::required()? {
        let mut bytes = fs::read(file(&interpreter)?)?;
        let length = bytes.len();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize % below
        };
        let sound = |analysis: Analysis| match analysis {
            Analysis::Python(image) => check(&image.layout).map_err(anyhow::Error::msg),
            _ => Ok(()),
        };
        let tables = length.min(length - length / 8);
        for round in 0..40 {
            sound(analyse(&&bytes[..random(length)]))?;
            // The headers lie at the begin, and the table of sections at the end.
            let at = match round % 3 {
                0 => random(1024.min(length)),
                1 => tables + random(length - tables),
                _ => random(length),
            };
            let kept = std::mem::replace(&mut bytes[at], random(256) as u8);
            sound(analyse(&bytes.as_slice()))?;
            if round % 2 == 0 {
                bytes[at] = kept;
            }
        }
    }
    Ok(())
}

/// Whether the interpreter lies in a library: pyenv's do, Debian's are static.
fn is_shared(interpreter: &Interpreter) -> bool {
    headers::library(interpreter).is_some()
}

/// The file that contains the interpreter, as the tests see it.
fn file(interpreter: &Interpreter) -> Result<std::path::PathBuf> {
    match (headers::library(interpreter), &interpreter.root) {
        (Some(library), _) => Ok(library),
        (None, None) => Ok(interpreter.executable.clone()),
        (None, Some(root)) => Ok(root.join(interpreter.executable.strip_prefix("/")?)),
    }
}

fn open(path: &std::path::Path) -> Result<FileSource> {
    let file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    Ok(FileSource { file, size })
}

fn image(interpreter: &Interpreter) -> Result<Image> {
    match analyse(&open(&file(interpreter)?)?) {
        Analysis::Python(image) => Ok(image),
        other => bail!("{}: {other:?}", interpreter.name),
    }
}
