//! Streams of records in files: what the ring buffers held, in the order in which it was read, to be taken in again
//! without a kernel. For measurements alone: `profiler/examples/streams`.
//!
//! A file is a sequence of words of eight bytes in this machine's order, so that records are aligned in it as they are
//! in a ring buffer: first `MAGIC` and the sampling period (ns), then entries, each a word with its kind (lower half)
//! and its length in bytes (upper half), and its bytes up to the next whole word.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::tracked::Tracked;

/// What a file begins with.
const MAGIC: u64 = u64::from_le_bytes(*b"PYPROF\0\x01");

/// Kinds of entries.
mod kind {
    /// A record.
    pub const RECORD: u32 = 1;
    /// All ring buffers have been read.
    pub const READ: u32 = 2;
    /// A process is under profile.
    pub const PROCESS: u32 = 3;
    /// The news has been read.
    pub const NEWS: u32 = 4;
}

/// An entry of a stream.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A record as it was in a ring buffer, aligned to 8 bytes.
    Record(&'a [u8]),
    /// The news of processes has been read, and next the samples are.
    News,
    /// All ring buffers have been read, at this time (ns, CLOCK_MONOTONIC).
    Read(u64),
    /// A process is under profile.
    Process(Process),
}

/// What is kept of a process under profile: what its records cannot be made use of without.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Process {
    /// Its registration.
    pub generation: u64,
    /// Its process id on the host.
    pub pid: u32,
    /// The format of its line tables (`profiler_common::cpython::layout::line_table`).
    pub line_table: u32,
}

impl Process {
    /// A process, if it is under profile.
    #[must_use]
    pub fn of(process: &Tracked) -> Option<Self> {
        let interpreter = process.interpreter.as_ref()?;
        Some(Self {
            generation: process.generation,
            pid: process.pid,
            line_table: interpreter.layout.line_table.into(),
        })
    }
}

/// Writes a stream.
pub struct Writer {
    out: Box<dyn Write>,
    /// How many processes have been written.
    told: usize,
    /// The first error: nothing is written after it.
    error: Option<io::Error>,
}

impl Writer {
    /// Begins a stream of samples that are taken each `period_ns`.
    pub fn new(out: impl Write + 'static, period_ns: u64) -> Self {
        let mut writer = Self {
            out: Box::new(out),
            told: 0,
            error: None,
        };
        writer.write([MAGIC, period_ns].as_bytes());
        writer
    }

    /// A record has been read.
    pub fn record(&mut self, record: &[u8]) {
        self.entry(kind::RECORD, record);
    }

    /// The news of processes has been read, and next the samples are.
    pub fn news(&mut self) {
        self.entry(kind::NEWS, &[]);
    }

    /// All ring buffers have been read, at this time (ns, CLOCK_MONOTONIC), and these are the processes so far.
    pub fn read(&mut self, time: u64, processes: &[Tracked]) {
        let new = processes.get(self.told..).unwrap_or_default();
        new.iter()
            .filter_map(Process::of)
            .for_each(|process| self.process(&process));
        self.told = processes.len();
        self.entry(kind::READ, time.as_bytes());
    }

    /// A process is under profile.
    pub fn process(&mut self, process: &Process) {
        self.entry(kind::PROCESS, process.as_bytes());
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// Where something could not be written.
    pub fn finish(mut self) -> io::Result<()> {
        match self.error {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    fn entry(&mut self, kind: u32, bytes: &[u8]) {
        let Ok(length) = u32::try_from(bytes.len()) else {
            self.error = Some(io::ErrorKind::FileTooLarge.into());
            return;
        };
        self.write([kind, length].as_bytes());
        self.write(bytes);
        self.write(&[0; 7][..bytes.len().next_multiple_of(8) - bytes.len()]);
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.out.write_all(bytes).err();
        }
    }
}

/// A stream that was written before.
pub struct Stream {
    words: Vec<u64>,
    /// The sampling period (ns).
    pub period_ns: u64,
}

impl Stream {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read, or is no stream.
    pub fn open(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let mut words = vec![0_u64; bytes.len() / 8];
        words
            .as_mut_bytes()
            .copy_from_slice(&bytes[..bytes.len() / 8 * 8]);
        match words.first_chunk() {
            Some(&[MAGIC, period_ns]) => Ok(Self { words, period_ns }),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is no stream of records", path.display()),
            )),
        }
    }

    /// Its entries, up to the first that is not whole.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut rest = self.words.get(2..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (&head, behind) = rest.split_first()?;
            let (kind, length) = (head as u32, (head >> 32) as usize);
            let (payload, behind) = behind.split_at_checked(length.div_ceil(8))?;
            let bytes = payload.as_bytes().get(..length)?;
            rest = behind;
            match kind {
                kind::RECORD => Some(Entry::Record(bytes)),
                kind::NEWS => Some(Entry::News),
                kind::READ => Some(Entry::Read(u64::read_from_bytes(bytes).ok()?)),
                kind::PROCESS => Some(Entry::Process(Process::read_from_bytes(bytes).ok()?)),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// Makes sure that what was written is read again, in order and aligned, and that a file which was cut ends with
    /// its last whole entry.
    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("stream");
        let mut writer = Writer::new(File::create(&path).expect("a file"), 7);
        writer.process(&Process {
            generation: 1,
            pid: 2,
            line_table: 0,
        });
        writer.record(b"a record of 23 bytes...");
        writer.record(b"");
        writer.read(5, &[]);
        writer.finish().expect("it was written");
        let stream = Stream::open(&path).expect("a stream");
        assert_eq!(stream.period_ns, 7);
        let entries: Vec<_> = stream.entries().collect();
        assert!(matches!(
            entries[..],
            [
                Entry::Process(Process { pid: 2, .. }),
                Entry::Record(b"a record of 23 bytes..."),
                Entry::Record(b""),
                Entry::Read(5)
            ]
        ));
        assert!(
            matches!(entries[1], Entry::Record(bytes) if bytes.as_ptr().addr().is_multiple_of(8))
        );
        let bytes = fs::read(&path).expect("the file");
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).expect("written");
            let entries = Stream::open(&path).map(|stream| stream.entries().count());
            assert!(entries.map_or(length < 16, |entries| entries < 4));
        }
    }
}
