//! The layout that an interpreter's headers describe, by compiling `layouts.c` against them.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use end_to_end::interpreters::Interpreter;
use profiler_common::cpython::layout::{Layout, feature};

/// The headers of one interpreter.
pub struct Headers {
    include: PathBuf,
    /// Where the system headers are that they may ask for beside the host's own.
    system: Option<PathBuf>,
}

/// The directory of `parent` whose name begins with `prefix`.
fn entry(parent: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(parent).ok()?.filter_map(Result::ok);
    entries.map(|entry| entry.path()).find(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    })
}

/// The shared library that contains the interpreter, where it is in one.
pub fn library(interpreter: &Interpreter) -> Option<PathBuf> {
    let prefix = interpreter.executable.parent()?.parent()?;
    let (major, minor) = interpreter.version;
    let library = entry(&prefix.join("lib"), &format!("libpython{major}.{minor}"));
    library
        .filter(|_| interpreter.root.is_none())
        .map(|library| {
            let real = library.with_extension("so.1.0");
            if real.exists() { real } else { library }
        })
}

impl Headers {
    /// Those of an interpreter; `None`, with a message, where they are not installed. Those of the interpreters
    /// that set-up provides must be, under CI.
    pub fn of(interpreter: &Interpreter) -> Result<Option<Self>> {
        let (major, minor) = interpreter.version;
        let name = format!("python{major}.{minor}");
        let (include, system) = match &interpreter.root {
            Some(root) => {
                let system = root.join("usr/include");
                (entry(&system, &name), Some(system))
            }
            None => {
                let prefix = interpreter.executable.parent().and_then(Path::parent);
                (
                    prefix.and_then(|prefix| entry(&prefix.join("include"), &name)),
                    None,
                )
            }
        };
        let include = include.filter(|include| include.join("Python.h").exists());
        if include.is_none() {
            let wanted = library(interpreter).is_some() || interpreter.root.is_some();
            ensure!(
                !wanted || env::var_os("CI").is_none(),
                "{} has no headers: run cargo xtask setup",
                interpreter.name
            );
            eprintln!("skipped for want of headers: {}", interpreter.name);
        }
        Ok(include.map(|include| Self { include, system }))
    }

    /// What they say, by the names of the fields of [`Layout`] and some more.
    pub fn layout(&self, flags: &[&str]) -> Result<BTreeMap<String, u64>> {
        let output = self.run(flags)?;
        let numbers = output.lines().filter_map(|line| line.split_once(' '));
        Ok(numbers
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect())
    }

    /// The bytes of `_Py_DebugOffsets` of an interpreter that is built from them.
    pub fn published(&self, flags: &[&str]) -> Result<Vec<u8>> {
        let output = self.run(flags)?;
        let text = output
            .lines()
            .find_map(|line| line.strip_prefix("published "))
            .context("nothing published")?;
        (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).context("not hexadecimal"))
            .collect()
    }

    fn run(&self, flags: &[&str]) -> Result<String> {
        let directory = tempfile::tempdir()?;
        let program = directory.path().join("layouts");
        let mut compiler = Command::new("gcc");
        compiler
            .args(["-w", "-O0", "-o"])
            .arg(&program)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/layouts.c"))
            .arg("-I")
            .arg(&self.include)
            .arg("-I")
            .arg(self.include.join("internal"))
            .args(flags);
        if let Some(system) = &self.system {
            compiler.arg("-idirafter").arg(system);
        }
        let compiled = compiler.output()?;
        ensure!(
            compiled.status.success(),
            "{}: {}",
            self.include.display(),
            String::from_utf8_lossy(&compiled.stderr)
        );
        let output = Command::new(&program).output()?;
        ensure!(output.status.success(), "{} failed", program.display());
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Compares all fields of a layout that are offsets or bits with what the headers say.
pub fn compare(layout: &Layout, expected: &BTreeMap<String, u64>) -> Result<()> {
    // Named one by one, so that a new field cannot be forgotten here.
    let &Layout {
        features,
        instruction: _,
        line_table: _,
        shim_owners,
        code_tag,
        interpreter_next,
        interpreter_threads,
        interpreter_id,
        thread_span: _,
        thread_next,
        thread_id,
        thread_native_id,
        thread_interpreter,
        thread_frame,
        thread_active,
        thread_active_mask,
        thread_active_value,
        cframe_current_frame,
        cframe_previous,
        frame_is_entry,
        frame_span: _,
        frame_code,
        frame_previous,
        frame_instruction,
        frame_owner,
        frame_owner_generator,
        frame_tlbc_index,
        code_window,
        code_span: _,
        code_type,
        code_name,
        code_qualname,
        code_filename,
        code_first_line,
        code_line_table,
        code_instructions,
        code_first_traceable,
        code_tlbc,
        bytes_size,
        bytes_data,
        unicode_length,
        unicode_hash,
        unicode_state,
        unicode_ascii_data,
        unicode_compact_data,
        unicode_kind_shift,
        unicode_compact_bit,
        unicode_ascii_bit,
        padding: _,
    } = layout;
    let said = |name: &str| expected.get(name).copied();
    macro_rules! fields {
        ($($field:ident)*) => {
            [$((stringify!($field), u64::from($field))),*]
        };
    }
    for (name, value) in fields! {
        shim_owners interpreter_next interpreter_threads interpreter_id thread_next thread_id thread_native_id thread_frame
        thread_active thread_active_mask thread_active_value cframe_current_frame cframe_previous frame_is_entry frame_code frame_previous frame_instruction
        frame_owner frame_owner_generator frame_tlbc_index code_window code_type code_name code_qualname code_filename code_first_line code_line_table
        code_instructions code_first_traceable code_tlbc bytes_size bytes_data unicode_length unicode_hash
        unicode_state unicode_ascii_data unicode_compact_data unicode_kind_shift unicode_compact_bit
        unicode_ascii_bit
    } {
        let expected = said(name).unwrap_or(0);
        ensure!(
            value == expected,
            "{name} is {expected} in the headers, not {value}"
        );
    }
    // Said of every version, wanted where code objects have versions.
    let wanted = if features & feature::CODE_VERSION == 0 {
        Some(0)
    } else {
        said("thread_interpreter")
    };
    ensure!(
        Some(u64::from(thread_interpreter)) == wanted,
        "thread_interpreter is {wanted:?} in the headers, not {thread_interpreter}"
    );
    // All tag bits must be cleared, and no bit of an address.
    let tag = said("tag_bits").unwrap_or(0);
    ensure!(
        u64::from(code_tag) & tag == tag && code_tag <= 7 && (tag != 0 || code_tag == 0),
        "tag bits {tag} are not cleared by {code_tag}"
    );
    for (bit, name) in [
        (feature::CFRAME, "cframe_current_frame"),
        (feature::OWNER, "frame_owner"),
        (feature::FIRST_TRACEABLE, "code_first_traceable"),
        (feature::QUALNAME, "code_qualname"),
        (feature::THREAD_ACTIVE, "thread_active"),
        (feature::CODE_VERSION, "interpreter_id"),
    ] {
        ensure!(
            (features & bit != 0) == said(name).is_some(),
            "{name} is or is not there, against what the features say"
        );
    }
    Ok(())
}

/// The address of a symbol, by binutils.
pub fn symbol(file: &Path, name: &str) -> Result<u64> {
    let output = Command::new("nm").arg("-D").arg(file).output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text
        .lines()
        .find(|line| line.split_whitespace().nth(2) == Some(name))
        .with_context(|| format!("{} has no {name}", file.display()))?;
    let address = line.split_whitespace().next().unwrap_or_default();
    Ok(u64::from_str_radix(address, 16)?)
}
