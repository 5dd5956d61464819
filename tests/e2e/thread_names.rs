//! Names of threads, read from live interpreters, and the layouts behind them.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use end_to_end::interpreters::{self, Interpreter, PYENV_VERSIONS};
use profiler::{
    host::memory::ProcessMemory,
    symbols::thread_names::{ThreadName, layout::ObjectLayout, thread_names},
};
use serde::Deserialize;

const PROGRAM: &str = include_str!("../programs/thread_names.py");
const LAYOUT_PROGRAM: &str = "programs/object_layout.c";

/// What the program says of itself.
#[derive(Deserialize)]
struct Known {
    interpreters: u64,
    threads: Vec<(u64, Option<u32>, String)>,
}

/// Makes sure that each thread of a live process has the name that its program gave to it, and its
/// native id, on every interpreter: whatever the alphabet, whether the thread's attributes share their
/// keys with others or not, and in each of two interpreters of one process.
#[test]
fn live_processes() -> Result<()> {
    for interpreter in interpreters::required()? {
        let (known, found) =
            names_of_live(&interpreter).with_context(|| interpreter.name.clone())?;
        let expected: HashMap<u64, ThreadName> = known
            .into_iter()
            .map(|(ident, native_id, name)| (ident, ThreadName { name, native_id }))
            .collect();
        println!("{}: {} threads named", interpreter.name, found.len());
        ensure!(
            expected.len() > 70,
            "{}: threads are missing",
            interpreter.name
        );
        assert_eq!(found, expected, "{}", interpreter.name);
    }
    Ok(())
}

type Threads = Vec<(u64, Option<u32>, String)>;

fn names_of_live(interpreter: &Interpreter) -> Result<(Threads, HashMap<u64, ThreadName>)> {
    let mut child = interpreter
        .command()
        .args(["-I", "-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
    let known: Result<Known, _> = serde_json::from_str(&line);
    let memory = ProcessMemory { pid: child.id() };
    let found = known
        .as_ref()
        .map(|known| thread_names(&memory, known.interpreters, interpreter.version));
    drop(child.stdin.take());
    let status = child.wait()?;
    ensure!(status.success(), "the program failed: {status}");
    let found = found.unwrap_or_default();
    Ok((known.context("the program said nothing")?.threads, found))
}

/// Makes sure that the table of layouts says what each interpreter's own headers say.
#[test]
fn layouts_of_the_headers() -> Result<()> {
    let mut checked = Vec::new();
    for interpreter in interpreters::required()? {
        let Some(headers) = headers(&interpreter) else {
            println!("{}: no headers", interpreter.name);
            continue;
        };
        let said =
            compile_and_run(&interpreter, &headers).with_context(|| interpreter.name.clone())?;
        let layout = ObjectLayout::of(interpreter.version).context("no layout")?;
        ensure!(
            said.len() >= 18,
            "{}: the headers say too little",
            interpreter.name
        );
        for (field, value) in said {
            let ours = ours(layout, &field).with_context(|| format!("unknown field {field}"))?;
            assert_eq!(ours, value, "{}: {field}", interpreter.name);
        }
        checked.push(interpreter.name);
    }
    println!("checked: {}", checked.join(", "));
    let pyenv = |name: &&str| {
        interpreters::available()
            .iter()
            .any(|one| one.name == **name)
    };
    for name in PYENV_VERSIONS.iter().filter(|name| pyenv(name)) {
        ensure!(
            checked.iter().any(|one| one == name),
            "{name} has no headers"
        );
    }
    Ok(())
}

fn ours(layout: &ObjectLayout, field: &str) -> Option<u64> {
    Some(match field {
        "interpreter_next" => layout.interpreter_next,
        "interpreter_modules" => layout.interpreter_modules,
        "object_type" => layout.object_type,
        "type_basic_size" => layout.type_basic_size,
        "type_flags" => layout.type_flags,
        "type_dict_offset" => layout.type_dict_offset,
        "type_cached_keys" => layout.type_cached_keys,
        "module_dict" => layout.module_dict,
        "dict_keys" => layout.dict_keys,
        "dict_values" => layout.dict_values,
        "values_data" => layout.values_data,
        "int_size" => layout.int_size,
        "int_digits" => layout.int_digits,
        "text_length" => layout.text_length,
        "text_state" => layout.text_state,
        "text_kind_shift" => layout.text_kind_shift.into(),
        "text_compact_bit" => layout.text_compact_bit.into(),
        "text_ascii_bit" => layout.text_ascii_bit.into(),
        "text_ascii_data" => layout.text_ascii_data,
        "text_compact_data" => layout.text_compact_data,
        _ => return None,
    })
}

/// The directory of an interpreter's `Python.h`, where it is installed.
fn headers(interpreter: &Interpreter) -> Option<PathBuf> {
    let root = interpreter.root.as_deref().unwrap_or(Path::new("/"));
    let executable = root.join(interpreter.executable.strip_prefix("/").ok()?);
    let include = executable.parent()?.parent()?.join("include");
    let (major, minor) = interpreter.version;
    // 3.6 and 3.7 have the letter of the ABI in the name.
    ["", "m"]
        .map(|abi| include.join(format!("python{major}.{minor}{abi}")))
        .into_iter()
        .find(|folder| folder.join("Python.h").exists())
}

fn compile_and_run(interpreter: &Interpreter, headers: &Path) -> Result<Vec<(String, u64)>> {
    let scratch = tempfile::tempdir()?;
    // Debian's `pyconfig.h` includes one for the architecture from beside the C library's headers,
    // which in a root of its own belong to another C library.
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let arch = headers.with_file_name(&triplet);
    if interpreter.root.is_some() {
        fs::create_dir(scratch.path().join(&triplet))?;
        let name = headers.file_name().context("headers without a name")?;
        symlink(arch.join(name), scratch.path().join(&triplet).join(name))?;
    }
    let program = scratch.path().join("object_layout");
    let compiled = Command::new("cc")
        .arg("-I")
        .arg(headers)
        .arg("-I")
        .arg(headers.join("internal"))
        .arg("-I")
        .arg(scratch.path())
        .arg("-o")
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(LAYOUT_PROGRAM))
        .output()?;
    ensure!(
        compiled.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let output = Command::new(&program).output()?;
    ensure!(output.status.success(), "the program failed");
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| {
            let (field, value) = line.split_once(' ').context("not a name and a value")?;
            Ok((field.to_owned(), value.parse()?))
        })
        .collect()
}
