//! A running interpreter, what it says of itself, and what is read in its memory.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use end_to_end::interpreters::Interpreter;
use profiler::interpreter::{self, Cache, Found, find};
use profiler_common::cpython::{
    code,
    layout::{Layout, feature, instruction},
};

const PROGRAM: &str = include_str!("target.py");

/// A code object, as the program describes it.
struct Code {
    address: u64,
    hash: i64,
    first_line: u32,
    table: u64,
    name: String,
}

/// A process that runs `target.py`. It is killed when dropped.
pub struct Target {
    process: Child,
    output: BufReader<ChildStdout>,
    memory: File,
    thread: u64,
    /// The frames from the leaf to the root, then the function that is made hot.
    codes: Vec<Code>,
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Target {
    /// Runs the program and reads what it says, up to where it waits.
    pub fn start(interpreter: &Interpreter) -> Result<Self> {
        Self::start_with(&mut interpreter.command())
    }

    /// The same with a prepared command.
    pub fn start_with(command: &mut Command) -> Result<Self> {
        Self::start_after("", command)
    }

    /// The same after a statement of the caller's.
    pub fn start_after(statement: &str, command: &mut Command) -> Result<Self> {
        let mut process = command
            .arg("-c")
            .arg(format!("{statement}\n{PROGRAM}"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(process.stdout.take().context("no output")?);
        let mut next = || -> Result<String> {
            let mut line = String::new();
            output.read_line(&mut line)?;
            Ok(line.trim_end_matches('\n').to_owned())
        };
        let hex = |text: String| u64::from_str_radix(text.trim_start_matches("0x"), 16);
        let thread = hex(next()?)?;
        // Under a wrapper the child's id would not be the interpreter's: chroot(1) executes it in its own place.
        ensure!(
            hex(next()?)? == u64::from(process.id()),
            "the interpreter is not the child"
        );
        let mut codes = Vec::new();
        loop {
            let line = next()?;
            let mut parts = line.splitn(5, ' ');
            let mut part = || parts.next().context("a short line");
            if line.is_empty() {
                break;
            }
            codes.push(Code {
                address: part()?.parse()?,
                hash: part()?.parse()?,
                first_line: part()?.parse()?,
                table: part()?.parse()?,
                name: part()?.to_owned(),
            });
        }
        let memory = File::open(format!("/proc/{}/mem", process.id()))?;
        Ok(Self {
            process,
            output,
            memory,
            thread,
            codes,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Lets it go on, and returns when the function is hot.
    pub fn go(&mut self) -> Result<()> {
        self.process
            .stdin
            .as_mut()
            .context("no input")?
            .write_all(b"\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line == "hot\n", "the program ended");
        Ok(())
    }

    fn bytes(&self, address: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length.min(1 << 16))?];
        self.memory
            .read_exact_at(&mut bytes, address)
            .with_context(|| format!("nothing at {address:#x}"))?;
        Ok(bytes)
    }

    fn word(&self, address: u64) -> Result<u64> {
        Ok(u64::from_le_bytes(
            self.bytes(address, 8)?.as_slice().try_into()?,
        ))
    }

    fn half(&self, address: u64) -> Result<u32> {
        Ok(u32::from_le_bytes(
            self.bytes(address, 4)?.as_slice().try_into()?,
        ))
    }

    /// Checks everything that the layout leads to.
    pub fn check(mut self, cache: &mut Cache) -> Result<()> {
        let found = match find(self.pid(), cache) {
            Found::Python(found) => found,
            other => bail!("{other:?}"),
        };
        ensure!(
            Path::new(&found.path).is_absolute() && !found.path.contains("/roots/"),
            "{} is not how the process sees it",
            found.path
        );
        ensure!(found.code_type != 0, "PyCode_Type is not known");
        let thread = self.check_thread(&found)?;
        self.check_frames(&found, thread)?;
        let hot = self.codes.last().context("no hot function")?.address;
        let identity = self.identity(&found.layout, hot)?;
        self.go()?;
        ensure!(
            self.identity(&found.layout, hot)? == identity,
            "the identity of a code object changed while it ran"
        );
        self.check_attached(&found, thread)
    }

    /// Finds the program's thread by its id and returns its state's address.
    pub fn check_thread(&self, found: &interpreter::Interpreter) -> Result<u64> {
        let layout = &found.layout;
        let mut interpreter = self.word(found.interpreters)?;
        while interpreter != 0 {
            let mut thread = self.word(interpreter + u64::from(layout.interpreter_threads))?;
            while thread != 0 {
                if self.word(thread + u64::from(layout.thread_id))? == self.thread {
                    let native = u64::from(layout.thread_native_id);
                    ensure!(
                        native == 0 || self.word(thread + native)? == u64::from(self.pid()),
                        "the main thread's native id is not the process id"
                    );
                    return Ok(thread);
                }
                thread = self.word(thread + u64::from(layout.thread_next))?;
            }
            interpreter = self.word(interpreter + u64::from(layout.interpreter_next))?;
        }
        bail!("no thread has id {:#x}", self.thread)
    }

    fn check_frames(&self, found: &interpreter::Interpreter, thread: u64) -> Result<()> {
        let layout = &found.layout;
        let mut frame = self.word(thread + u64::from(layout.thread_frame))?;
        if layout.features & feature::CFRAME != 0 {
            frame = self.word(frame + u64::from(layout.cframe_current_frame))?;
        }
        let mut shims = 0;
        for code in &self.codes[..self.codes.len() - 1] {
            while self.is_shim(layout, frame)? {
                shims += 1;
                frame = self.word(frame + u64::from(layout.frame_previous))?;
            }
            let tagged = self.word(frame + u64::from(layout.frame_code))?;
            let address = tagged & !u64::from(layout.code_tag);
            ensure!(
                address == code.address,
                "{}: code at {address:#x}",
                code.name
            );
            self.check_code(found, code)?;
            self.check_instruction(layout, frame, address)?;
            frame = self.word(frame + u64::from(layout.frame_previous))?;
        }
        ensure!(shims < self.codes.len(), "more shims than frames");
        Ok(())
    }

    fn is_shim(&self, layout: &Layout, frame: u64) -> Result<bool> {
        if layout.features & feature::OWNER == 0 {
            return Ok(false);
        }
        let owner = self.bytes(frame + u64::from(layout.frame_owner), 1)?[0];
        ensure!(owner < 8, "a frame's owner is {owner}");
        Ok(layout.shim_owners & (1 << owner) != 0)
    }

    fn check_code(&self, found: &interpreter::Interpreter, code: &Code) -> Result<()> {
        let (layout, at) = (&found.layout, |offset: u16| {
            code.address + u64::from(offset)
        });
        ensure!(
            self.word(at(layout.code_type))? == found.code_type,
            "{}: its type",
            code.name
        );
        ensure!(
            self.half(at(layout.code_first_line))? == code.first_line,
            "{}: its first line",
            code.name
        );
        let table = self.word(at(layout.code_line_table))?;
        ensure!(
            self.word(table + u64::from(layout.bytes_size))? == code.table,
            "{}: its line table",
            code.name
        );
        let name = self.word(at(layout.code_name))?;
        ensure!(
            self.string(layout, name)? == code.name,
            "{}: its name",
            code.name
        );
        ensure!(
            self.word(name + u64::from(layout.unicode_hash))? as i64 == code.hash,
            "{}: its name's hash",
            code.name
        );
        if layout.features & feature::QUALNAME != 0 {
            let qualified = self.word(at(layout.code_qualname))?;
            ensure!(
                self.string(layout, qualified)? == code.name,
                "{}: its qualified name",
                code.name
            );
        }
        let file = self.word(at(layout.code_filename))?;
        ensure!(
            self.string(layout, file)? == "<string>",
            "{}: its file name",
            code.name
        );
        Ok(())
    }

    fn check_instruction(&self, layout: &Layout, frame: u64, code: u64) -> Result<()> {
        let place = frame + u64::from(layout.frame_instruction);
        // No function of the program has more than 2,000 bytes of instructions.
        let offset = match layout.instruction {
            instruction::POINTER => self
                .word(place)?
                .wrapping_sub(code + u64::from(layout.code_instructions)),
            instruction::LASTI_UNITS => u64::from(self.half(place)?) * 2,
            _ => u64::from(self.half(place)?),
        };
        ensure!(
            offset < 2000 && offset.is_multiple_of(2),
            "an instruction at {offset:#x}"
        );
        if layout.features & feature::FIRST_TRACEABLE != 0 {
            let first = self.half(code + u64::from(layout.code_first_traceable))?;
            ensure!(
                u64::from(first) * 2 <= offset,
                "a waiting frame that is incomplete: {first}, {offset}"
            );
        }
        Ok(())
    }

    fn string(&self, layout: &Layout, address: u64) -> Result<String> {
        let length = self.word(address + u64::from(layout.unicode_length))?;
        let state = self.half(address + u64::from(layout.unicode_state))?;
        let bit = |bit: u8| state & (1 << bit) != 0;
        ensure!(
            bit(layout.unicode_compact_bit),
            "a string that is not compact"
        );
        let kind = u64::from(state >> layout.unicode_kind_shift & 7);
        let data = if bit(layout.unicode_ascii_bit) {
            layout.unicode_ascii_data
        } else {
            layout.unicode_compact_data
        };
        let bytes = self.bytes(address + u64::from(data), length * kind)?;
        let points = bytes.chunks(usize::try_from(kind.max(1))?);
        points
            .map(|point| {
                let value = point
                    .iter()
                    .rev()
                    .fold(0, |value, byte| value << 8 | u32::from(*byte));
                char::from_u32(value).context("no code point")
            })
            .collect()
    }

    fn identity(&self, layout: &Layout, object: u64) -> Result<Vec<u8>> {
        self.bytes(
            object + u64::from(code::identity_words(layout)),
            u64::from(code::IDENTITY_WORDS) * 8,
        )
    }

    /// Checks that the thread is seen to be attached, which it is almost always now that it computes.
    fn check_attached(&self, found: &interpreter::Interpreter, thread: u64) -> Result<()> {
        let layout = &found.layout;
        let active = layout.features & feature::THREAD_ACTIVE != 0;
        if !active && found.current_thread == 0 {
            return Ok(());
        }
        for _ in 0..1000 {
            let attached = if active {
                self.half(thread + u64::from(layout.thread_active))? & layout.thread_active_mask
                    != 0
            } else {
                self.word(found.current_thread)? == thread
            };
            if attached {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the thread that runs is never attached")
    }
}
