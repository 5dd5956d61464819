//! What one file has to do with Python, told from its contents.

use std::fmt;

use object::elf::EM_X86_64;
use profiler_common::cpython::layout::Layout;

use super::{
    check::check,
    debug_offsets,
    elf::{Elf, Segment, Source, Table},
    landmarks::Landmarks,
    literal, table,
    version::PythonVersion,
};

/// The longest read-only data that is searched for a version (bytes); 3.10's has 0.8 MB, a frozen application more.
const CONSTANTS_LIMIT: u64 = 64 << 20;

/// The answer for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Analysis {
    /// Nothing.
    NotPython,
    /// It is a program that will load libpython: until then it is not known which Python it is.
    LinksToPython,
    /// It contains an interpreter.
    Python(Image),
    /// It contains an interpreter that cannot be profiled.
    Refused(Refusal),
}

/// Why an interpreter cannot be profiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its version as far as it is known.
    pub version: Option<String>,
    /// The reason, in one line.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// A file that contains an interpreter. Addresses are those before relocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its version.
    pub version: PythonVersion,
    /// How its structures are laid out.
    pub layout: Layout,
    /// The word that holds the head of the list of interpreters; 3.6 without a symbol table has none.
    pub interpreters_head: Option<u64>,
    /// The word that holds the thread state of whoever has the GIL, up to 3.11.
    pub current_thread: Option<u64>,
    /// `PyCode_Type`.
    pub code_type: Option<u64>,
    /// `tp_flags` in a type object (bytes).
    pub type_flags: u64,
    /// `PyThreadState.interp` (bytes).
    pub thread_interpreter: u64,
    /// Whether the file is a program rather than a library.
    pub is_program: bool,
    /// What of the file is mapped where.
    pub segments: Vec<Segment>,
}

impl Image {
    /// How far the file was moved when it was loaded, if an executable mapping begins at `start` and shows the
    /// file from `offset` on. Add it to an address before relocation (wrapping).
    #[must_use]
    pub fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        let page = |address: u64| address & !0xfff;
        let executable = || self.segments.iter().filter(|segment| segment.executable);
        // A mapping usually begins where a segment does; after a change of protection it may begin further on.
        let segment = executable()
            .find(|segment| page(segment.offset) == offset)
            .or_else(|| {
                executable().find(|segment| {
                    (page(segment.offset)..segment.offset.saturating_add(segment.size))
                        .contains(&offset)
                })
            })?;
        let bias = start
            .wrapping_sub(segment.address)
            .wrapping_add(segment.offset)
            .wrapping_sub(offset);
        (bias == page(bias)).then_some(bias)
    }
}

/// Analyses one file.
#[must_use]
pub fn analyse(source: &dyn Source) -> Analysis {
    let Some(file) = Elf::open(source) else {
        return Analysis::NotPython;
    };
    let found = Landmarks::find(&file);
    let mut runtime = file
        .section_begin(".PyRuntime", debug_offsets::LIMIT as u64)
        .filter(|(_, _, bytes)| bytes.starts_with(debug_offsets::COOKIE));
    if runtime.is_none()
        && let Some(address) = found.runtime
    {
        runtime = file
            .at_address(address, debug_offsets::LIMIT as u64)
            .filter(|bytes| bytes.starts_with(debug_offsets::COOKIE))
            .map(|bytes| (address, u64::MAX, bytes));
    }
    if runtime.is_none() && found.runtime.is_none() && found.current_thread.is_none() {
        return if !file.is_program {
            Analysis::NotPython
        } else if file.needs("libpython") {
            Analysis::LinksToPython
        } else {
            unmarked(&file).map_or(Analysis::NotPython, Analysis::Refused)
        };
    }
    let answer = if !file.is_64 {
        Err((None, "a 32-bit interpreter is not supported".to_owned()))
    } else if let Some((address, size, bytes)) = runtime {
        described(&file, &found, address, size, &bytes)
            .map_err(|reason| (debug_offsets::version(&bytes), reason))
    } else {
        match version(&file, &found) {
            Ok(version) => tabled(&file, &found, version).map_err(|reason| (Some(version), reason)),
            Err(reason) => Err((None, reason)),
        }
    };
    match answer {
        Ok(image) => Analysis::Python(image),
        Err((version, reason)) => Analysis::Refused(Refusal {
            version: version.map(|version| version.to_string()),
            reason,
        }),
    }
}

/// A program into which an interpreter of 3.12 or older was linked, and of which the linker or `strip` has left no
/// symbol that would tell where its structures lie. It is told by what it uses and says, to be refused.
fn unmarked(file: &Elf<'_>) -> Option<Refusal> {
    // Most programs are done with here: hardly another one uses both of these, which are in the module `posix`.
    let symbols = file.symbols(Table::Dynamic)?;
    if !["ctermid", "sched_rr_get_interval"]
        .iter()
        .all(|name| symbols.mentions(name))
    {
        return None;
    }
    let constants = file.section_bytes(".rodata", CONSTANTS_LIMIT)?;
    memchr::memmem::find(&constants, b"PYTHONHASHSEED\0")?;
    let version = literal::find(&constants, |version| version.major == 3).ok();
    Some(Refusal {
        version: version.map(|version| version.to_string()),
        reason: "it has no symbols that tell where its interpreter's structures are: link it with -rdynamic, or leave its symbol table in place".to_owned(),
    })
}

/// An interpreter that describes itself (3.13 and newer).
fn described(
    file: &Elf<'_>,
    found: &Landmarks,
    address: u64,
    size: u64,
    bytes: &[u8],
) -> Result<Image, String> {
    let published = debug_offsets::parse(bytes)?;
    if published.runtime_size > size {
        return Err(
            "its debug offsets describe a runtime that is larger than its section".to_owned(),
        );
    }
    // PyTypeObject: PyVarObject's head, tp_name, tp_basicsize.
    basic_size(
        file,
        "code objects",
        found.code_type,
        published.object_size + 16,
        published.code_size,
    )?;
    Ok(Image {
        version: published.version,
        layout: published.layout,
        interpreters_head: Some(address.wrapping_add(published.interpreters_head)),
        current_thread: None,
        code_type: found.code_type,
        type_flags: type_flags(published.object_size),
        thread_interpreter: published.thread_interpreter,
        is_program: file.is_program,
        segments: file.segments.clone(),
    })
}

/// An interpreter whose structures are known from its version (3.6 to 3.12).
fn tabled(file: &Elf<'_>, found: &Landmarks, version: PythonVersion) -> Result<Image, String> {
    if version < PythonVersion::release(3, 6, 0) {
        return Err(format!(
            "Python {}.{} is not supported",
            version.major, version.minor
        ));
    }
    let known = table::known(version)
        .ok_or_else(|| format!("the layout of Python {version} is not known"))?;
    if file.machine != EM_X86_64 {
        return Err(format!(
            "the layout of Python {version} is only known for x86-64"
        ));
    }
    if found.debug_build {
        return Err(format!(
            "the layout of debug builds of Python {version} is not known"
        ));
    }
    check(&known.layout)?;
    const OBJECT_SIZE: u64 = 16;
    basic_size(
        file,
        "code objects",
        found.code_type,
        OBJECT_SIZE + 16,
        known.code_size,
    )?;
    basic_size(
        file,
        "strings",
        found.unicode_type,
        OBJECT_SIZE + 16,
        known.unicode_size,
    )?;
    let in_runtime = |offset: Option<u64>| Some(found.runtime?.wrapping_add(offset?));
    Ok(Image {
        version,
        layout: known.layout,
        interpreters_head: in_runtime(known.interpreters_head).or(found.interpreters),
        current_thread: in_runtime(known.current_thread).or(found.current_thread),
        code_type: found.code_type,
        type_flags: type_flags(OBJECT_SIZE),
        thread_interpreter: known.thread_interpreter,
        is_program: file.is_program,
        segments: file.segments.clone(),
    })
}

/// `tp_flags` in a PyTypeObject: since 3.6 there are 19 pointers between the head's `ob_size` and it.
const fn type_flags(object_size: u64) -> u64 {
    object_size + 8 + 18 * 8
}

/// Checks the layout against what the interpreter's own type object says of the size of its instances: a build that
/// was patched, or configured in a way that changes its structures, is told so.
fn basic_size(
    file: &Elf<'_>,
    what: &str,
    class: Option<u64>,
    offset: u64,
    expected: u64,
) -> Result<(), String> {
    let Some(class) = class else {
        return Ok(());
    };
    match file.word_at(class.wrapping_add(offset)) {
        Some(size) if size == expected => Ok(()),
        Some(size) => Err(format!(
            "its {what} have {size} bytes, not the {expected} of its version"
        )),
        None => Err(format!("its type of {what} is out of reach")),
    }
}

/// The version of an interpreter without debug offsets.
fn version(file: &Elf<'_>, found: &Landmarks) -> Result<PythonVersion, String> {
    if let Some(address) = found.version {
        return file
            .word_at(address)
            .and_then(PythonVersion::from_hex)
            .ok_or_else(|| "its Py_Version is no version".to_owned());
    }
    let mut constants = file
        .section_bytes(".rodata", CONSTANTS_LIMIT)
        .ok_or("its version is not known: it has no constants")?;
    // 2.7 keeps its path in a variable.
    constants.extend(
        file.section_bytes(".data", CONSTANTS_LIMIT)
            .unwrap_or_default(),
    );
    // _PyRuntime came with 3.7, and Py_Version with 3.11.
    let plausible = |version: PythonVersion| match found.runtime {
        Some(_) => ((3, 7)..=(3, 10)).contains(&version.feature()),
        None => version.major == 2 || ((3, 0)..=(3, 6)).contains(&version.feature()),
    };
    literal::find(&constants, plausible).map_err(|candidates| match candidates.as_slice() {
        [] => "its version is not known: it does not say".to_owned(),
        [one, others @ ..] => others
            .iter()
            .fold(format!("its version is not known: {one}"), |text, other| {
                format!("{text} or {other}")
            }),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use proptest::prelude::*;

    use super::*;

    /// A file of which the end is missing and some bytes are other than they should be.
    struct Damaged<'a> {
        bytes: &'a [u8],
        changes: &'a [(u64, u8)],
    }

    impl Source for Damaged<'_> {
        fn size(&self) -> u64 {
            self.bytes.size()
        }

        fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
            self.bytes.read_at(offset, into)?;
            for (place, value) in self.changes {
                let index = place
                    .checked_sub(offset)
                    .and_then(|index| usize::try_from(index).ok());
                if let Some(byte) = index.and_then(|index| into.get_mut(index)) {
                    *byte = *value;
                }
            }
            Ok(())
        }
    }

    fn image(segments: &[(u64, u64, u64, bool)]) -> Image {
        let known = table::known(PythonVersion::release(3, 12, 0)).expect("a known version");
        Image {
            version: PythonVersion::release(3, 12, 0),
            layout: known.layout,
            interpreters_head: None,
            current_thread: None,
            code_type: None,
            type_flags: type_flags(16),
            thread_interpreter: 16,
            is_program: false,
            segments: segments
                .iter()
                .map(|&(address, offset, size, executable)| Segment {
                    address,
                    offset,
                    size,
                    executable,
                })
                .collect(),
        }
    }

    /// Makes sure that a file's bias follows from its executable mapping, as the ELF specification has it: also
    /// where a segment does not begin at a page, and where a mapping shows only the later part of one.
    #[test]
    fn bias_of_a_mapping() {
        let library = image(&[
            (0, 0, 0x5000, false),
            (0x6010, 0x5010, 0x9000, true),
            (0x1_0000, 0xe010, 0x900, false),
        ]);
        assert_eq!(
            library.bias(0x7f00_0000_6000, 0x5000),
            Some(0x7f00_0000_0000)
        );
        assert_eq!(
            library.bias(0x7f00_0000_9000, 0x8000),
            Some(0x7f00_0000_0000)
        );
        assert_eq!(library.bias(0x7f00_0000_0000, 0x2_0000), None);
        let program = image(&[(0x40_0000, 0, 0x9000, true)]);
        assert_eq!(program.bias(0x40_0000, 0), Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Makes sure that no damage to an ELF file makes an interpreter of what is none, or worse.
        #[test]
        fn damaged_files(
            length in 0usize..1 << 20,
            whole in any::<bool>(),
            headers in prop::collection::vec((0u64..2048, any::<u8>()), 0..16),
            anywhere in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
        ) {
            let bytes = fs::read("/proc/self/exe").expect("this test's own file");
            let end = if whole { bytes.len() } else { length.min(bytes.len()) };
            let bytes = &bytes[..end];
            let mut changes = headers;
            if end != 0 {
                changes.extend(anywhere.into_iter().map(|(place, value)| (place.index(end) as u64, value)));
            }
            let analysis = analyse(&Damaged { bytes, changes: &changes });
            prop_assert!(!matches!(analysis, Analysis::Python(_)), "{:?}", analysis);
        }
    }
}
