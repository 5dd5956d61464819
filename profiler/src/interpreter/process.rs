//! Which interpreter a process runs.

use std::{collections::BTreeSet, io, sync::Arc};

use profiler_common::cpython::layout::Layout;

use super::{
    cache::{Cache, FileId, Stamp},
    image::{Analysis, Image, Refusal, analyse},
    maps::Mapping,
    target::{Located, Target},
    version::PythonVersion,
};

/// Whether the program that a process executes has nothing to do with Python: it contains none, and is not linked
/// to one either. It may still load one by itself.
#[must_use]
pub fn executes_other(pid: u32, cache: &mut Cache) -> bool {
    let Ok((file, identity)) = Target::new(pid).program() else {
        return false;
    };
    analyse_once(&file, identity, cache).is_ok_and(|analysis| *analysis == Analysis::NotPython)
}

/// What was found in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing of Python is mapped.
    NotPython,
    /// The program will load libpython and has not done so yet: ask again.
    Starting,
    /// An interpreter.
    Python(Interpreter),
    /// An interpreter that cannot be profiled.
    Refused {
        /// Its version as far as it is known.
        version: Option<String>,
        /// The file that contains it, as the process sees it.
        interpreter: Option<String>,
        /// The reason, in one line.
        reason: String,
    },
    /// The process's memory map cannot be read: the error's text.
    Unreadable(String),
    /// There is no such process (any more).
    Gone,
}

/// An interpreter in a process. Addresses are those of the process; 0 where not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interpreter {
    /// Its version.
    pub version: PythonVersion,
    /// The file that contains it, as the process sees it.
    pub path: String,
    /// How its structures are laid out.
    pub layout: Layout,
    /// Where the pointer to the first interpreter state is.
    pub interpreters: u64,
    /// Where the pointer to the thread state that has the GIL is (up to 3.11).
    pub current_thread: u64,
    /// `PyCode_Type`.
    pub code_type: u64,
    /// Others that run in the same process: version, file, and where their interpreters' list begins.
    pub beside: Vec<(PythonVersion, String, u64)>,
}

/// A file with an interpreter at the place where it is mapped.
struct Candidate {
    analysis: Arc<Analysis>,
    path: String,
    bias: u64,
}

impl Candidate {
    fn image(&self) -> Option<&Image> {
        match &*self.analysis {
            Analysis::Python(image) => Some(image),
            _ => None,
        }
    }
}

/// Finds the interpreter in the process with that id in the profiler's own pid namespace.
#[must_use]
pub fn find(pid: u32, cache: &mut Cache) -> Found {
    let target = Target::new(pid);
    let mappings = match target.mappings() {
        Ok(mappings) => mappings,
        Err(error) if is_gone(&error) => return Found::Gone,
        Err(error) => return Found::Unreadable(error.to_string()),
    };

    let mut candidates: Vec<Candidate> = Vec::new();
    let mut refused: Option<(Refusal, String)> = None;
    let mut hidden: Option<(Refusal, String)> = None;
    let mut starting = false;
    // A library's text may be mapped in several pieces: its file is looked at once, and each place once.
    let mut places = BTreeSet::new();
    let mut idle = BTreeSet::new();
    for mapping in mappings {
        if idle.contains(&mapping.file) {
            continue;
        }
        let analysis = match analysis(&target, &mapping, cache) {
            Ok(analysis) => analysis,
            Err(error) => {
                let path = target.path(&mapping);
                if is_named_like_python(&path) {
                    hidden.get_or_insert_with(|| (cannot_be_read(&error), path));
                }
                idle.insert(mapping.file);
                continue;
            }
        };
        match &*analysis {
            Analysis::NotPython => {
                idle.insert(mapping.file);
            }
            Analysis::LinksToPython => starting = true,
            Analysis::Refused(reason) => {
                refused.get_or_insert_with(|| (reason.clone(), target.path(&mapping)));
            }
            Analysis::Python(image) => {
                let Some(bias) = image.bias(mapping.start, mapping.offset) else {
                    continue;
                };
                if places.insert((mapping.file, bias)) {
                    candidates.push(Candidate {
                        analysis,
                        path: target.path(&mapping),
                        bias,
                    });
                }
            }
        }
    }

    // A process can have two, and use one: a program that contains an interpreter, and a library that it loads.
    let mut images: Vec<(bool, &Candidate, &Image)> = candidates
        .iter()
        .filter_map(|candidate| {
            let image = candidate.image()?;
            Some((
                is_initialised(&target, candidate.bias, image),
                candidate,
                image,
            ))
        })
        .collect();
    images.sort_by_key(|&(is_initialised, _, image)| (!is_initialised, image.is_program));
    if let Some((&(_, candidate, image), others)) = images.split_first() {
        let beside = others
            .iter()
            .filter(|(is_initialised, ..)| *is_initialised)
            .map(|(_, candidate, image)| {
                let other = interpreter(&target, candidate, image, Vec::new());
                (other.version, other.path, other.interpreters)
            })
            .collect();
        return Found::Python(interpreter(&target, candidate, image, beside));
    }
    match refused.or(hidden) {
        Some((Refusal { version, reason }, path)) => Found::Refused {
            version,
            interpreter: Some(path),
            reason,
        },
        None if starting => Found::Starting,
        None => Found::NotPython,
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The analysis of a mapping's file: one look at its metadata where it is known.
fn analysis(target: &Target, mapping: &Mapping, cache: &mut Cache) -> io::Result<Arc<Analysis>> {
    analyse_once(&target.locate(mapping)?, mapping.file, cache)
}

fn analyse_once(file: &Located, identity: FileId, cache: &mut Cache) -> io::Result<Arc<Analysis>> {
    let stamp = Stamp::of(&file.metadata);
    if let Some(known) = cache.get(identity, stamp) {
        return Ok(known);
    }
    Ok(cache.insert(identity, stamp, analyse(&file.open()?)))
}

/// Whether a file that cannot be read is likely to hold an interpreter. Whether it does is never decided by this: a
/// process must only not pass for something else where the truth is out of reach.
fn is_named_like_python(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("python") || name.starts_with("libpython")
}

fn cannot_be_read(error: &io::Error) -> Refusal {
    Refusal {
        version: None,
        reason: format!("the file of its interpreter cannot be read: {error}"),
    }
}

impl Interpreter {
    /// Whether it has been started in that process and has not ended.
    #[must_use]
    pub fn runs_in(&self, pid: u32) -> bool {
        let target = Target::new(pid);
        [self.interpreters, self.current_thread]
            .into_iter()
            .filter(|&address| address != 0)
            .any(|address| target.word(address).is_some_and(|word| word != 0))
    }
}

/// Whether the interpreter has been started: an image can be mapped twice, and be used once.
fn is_initialised(target: &Target, bias: u64, image: &Image) -> bool {
    [image.interpreters_head, image.current_thread]
        .into_iter()
        .flatten()
        .any(|address| {
            target
                .word(bias.wrapping_add(address))
                .is_some_and(|word| word != 0)
        })
}

fn interpreter(
    target: &Target,
    candidate: &Candidate,
    image: &Image,
    beside: Vec<(PythonVersion, String, u64)>,
) -> Interpreter {
    let place =
        |address: Option<u64>| address.map_or(0, |address| candidate.bias.wrapping_add(address));
    let current_thread = place(image.current_thread);
    let interpreters = match image.interpreters_head {
        Some(head) => candidate.bias.wrapping_add(head),
        None => by_current_thread(target, image, current_thread).unwrap_or(0),
    };
    // A program that is linked without -fPIE may have a copy of the type, and its library then uses that one.
    // The type that is used has been made ready (Py_TPFLAGS_READY, bit 12) when the interpreter has started.
    let code_type = place(image.code_type);
    let started = target.word(interpreters).is_some_and(|first| first != 0);
    let flags = target.word(code_type.wrapping_add(image.type_flags));
    let unused = started && flags.is_some_and(|flags| flags & (1 << 12) == 0);
    Interpreter {
        version: image.version,
        path: candidate.path.clone(),
        layout: image.layout,
        interpreters,
        current_thread,
        code_type: if unused { 0 } else { code_type },
        beside,
    }
}

/// A word that points to the first interpreter state, where no symbol tells the list's head (a stripped 3.6): the
/// `interp` field of the oldest thread's state, which is the main thread's and lives as long as the interpreter.
///
/// That works while some thread has the GIL; states of sub-interpreters are not reached.
fn by_current_thread(target: &Target, image: &Image, current_thread: u64) -> Option<u64> {
    /// A list that does not end by then is none.
    const THREADS: usize = 4096;
    let read = |address: u64| target.word(address).filter(|word| *word != 0);
    let interpreter = read(read(current_thread)?.wrapping_add(image.thread_interpreter))?;
    let mut thread = read(interpreter.wrapping_add(image.layout.interpreter_threads.into()))?;
    for _ in 0..THREADS {
        match target.word(thread.wrapping_add(image.layout.thread_next.into()))? {
            0 => {
                let field = thread.wrapping_add(image.thread_interpreter);
                return (read(field)? == interpreter).then_some(field);
            }
            next => thread = next,
        }
    }
    None
}
