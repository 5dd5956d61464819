//! One ELF file, read in pieces and with bounds: headers first, tables only when asked for.
//!
//! Files belong to whoever runs the process and are untrusted. Nothing is read beyond the limits below, and
//! whatever does not parse is as if it were not there.

use std::{fs::File, io, os::unix::fs::FileExt};

use object::{
    Endianness, elf,
    pod::{self, Pod},
    read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym},
};

/// The longest table that is read (bytes): the largest shared objects seen have symbol tables of 40 MiB.
const TABLE_LIMIT: u64 = 64 << 20;

/// Bytes that can be read at any place.
pub trait Source {
    /// How many there are.
    fn size(&self) -> u64;
    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Where they cannot be read or there are fewer.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|begin| self.get(begin..begin.checked_add(into.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

/// A regular file and its size when it was opened.
#[derive(Debug)]
pub struct FileSource {
    /// The open file.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }
}

/// A section, as its header describes it.
#[derive(Clone, Debug)]
struct Section {
    name: u32,
    kind: u32,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
}

/// A part of the file that is mapped when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies in memory, before relocation.
    pub address: u64,
    /// Where it lies in the file.
    pub offset: u64,
    /// How many bytes of it are in the file.
    pub size: u64,
    /// Whether it is mapped executable.
    pub executable: bool,
}

/// The two symbol tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `.dynsym`: what the file exports. Always there in a shared object.
    Dynamic,
    /// `.symtab`: everything. Gone from a stripped file.
    Full,
}

/// An ELF file of the host's byte order.
pub struct Elf<'s> {
    source: &'s dyn Source,
    /// Whether it is of 64 bits.
    pub is_64: bool,
    /// `e_machine`.
    pub machine: u16,
    /// Whether it names a dynamic loader or cannot be moved: a program, not a library.
    pub is_program: bool,
    /// Its loadable segments, in the order of their addresses.
    pub segments: Vec<Segment>,
    dynamic: Option<(u64, u64)>,
    sections: Vec<Section>,
    names: Vec<u8>,
}

impl<'s> Elf<'s> {
    /// Reads the headers. `None` where this is no ELF file of the host's byte order.
    #[must_use]
    pub fn open(source: &'s dyn Source) -> Option<Self> {
        let mut ident = [0; 16];
        source.read_at(0, &mut ident).ok()?;
        if ident[..4] != elf::ELFMAG {
            return None;
        }
        match ident[4] {
            elf::ELFCLASS64 => Self::parse::<elf::FileHeader64<Endianness>>(source),
            elf::ELFCLASS32 => Self::parse::<elf::FileHeader32<Endianness>>(source),
            _ => None,
        }
    }

    fn parse<H: FileHeader<Endian = Endianness>>(source: &'s dyn Source) -> Option<Self> {
        let bytes = read(source, 0, size_of::<H>() as u64)?;
        let (header, _) = pod::from_bytes::<H>(&bytes).ok()?;
        if !header.is_supported() || header.endian().ok()? != Endianness::default() {
            return None;
        }
        let e = Endianness::default();
        let mut file = Elf {
            source,
            is_64: header.is_type_64(),
            machine: header.e_machine(e),
            is_program: header.e_type(e) == elf::ET_EXEC,
            segments: Vec::new(),
            dynamic: None,
            sections: Vec::new(),
            names: Vec::new(),
        };
        let programs: Vec<H::ProgramHeader> = records(
            source,
            header.e_phoff(e).into(),
            u64::from(header.e_phnum(e)),
            header.e_phentsize(e),
        )?;
        for program in &programs {
            let (offset, size) = (program.p_offset(e).into(), program.p_filesz(e).into());
            match program.p_type(e) {
                elf::PT_LOAD => file.segments.push(Segment {
                    address: program.p_vaddr(e).into(),
                    offset,
                    size,
                    executable: program.p_flags(e) & elf::PF_X != 0,
                }),
                elf::PT_INTERP => file.is_program = true,
                elf::PT_DYNAMIC => file.dynamic = Some((offset, size)),
                _ => {}
            }
        }
        // Without a section table (a stripped one, or one that makes no sense) the segments are still good.
        let sections: Vec<H::SectionHeader> = records(
            source,
            header.e_shoff(e).into(),
            u64::from(header.e_shnum(e)),
            header.e_shentsize(e),
        )
        .unwrap_or_default();
        file.sections = sections
            .iter()
            .map(|section| Section {
                name: section.sh_name(e),
                kind: section.sh_type(e),
                address: section.sh_addr(e).into(),
                offset: section.sh_offset(e).into(),
                size: section.sh_size(e).into(),
                link: section.sh_link(e),
            })
            .collect();
        file.names = file
            .sections
            .get(usize::from(header.e_shstrndx(e)))
            .and_then(|names| file.contents(names, TABLE_LIMIT))
            .unwrap_or_default();
        Some(file)
    }

    fn section(&self, name: &[u8]) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| self.has_name(section, name))
    }

    fn has_name(&self, section: &Section, name: &[u8]) -> bool {
        self.names
            .get(section.name as usize..)
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    fn contents(&self, section: &Section, limit: u64) -> Option<Vec<u8>> {
        if section.kind == elf::SHT_NOBITS || section.size > limit {
            return None;
        }
        read(self.source, section.offset, section.size)
    }

    /// The address and size of the section of that name, and its first bytes: at most `limit`.
    #[must_use]
    pub fn section_begin(&self, name: &str, limit: u64) -> Option<(u64, u64, Vec<u8>)> {
        let section = self.section(name.as_bytes())?;
        if section.kind == elf::SHT_NOBITS {
            return None;
        }
        let bytes = read(self.source, section.offset, section.size.min(limit))?;
        Some((section.address, section.size, bytes))
    }

    /// The contents of the section of that name, unless it is longer than `limit` bytes.
    #[must_use]
    pub fn section_bytes(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        self.contents(self.section(name.as_bytes())?, limit)
    }

    /// The bytes that the file puts at an address before relocation: at most `limit`.
    #[must_use]
    pub fn at_address(&self, address: u64, limit: u64) -> Option<Vec<u8>> {
        self.segments.iter().find_map(|segment| {
            let into = address
                .checked_sub(segment.address)
                .filter(|into| *into < segment.size)?;
            read(
                self.source,
                segment.offset.checked_add(into)?,
                limit.min(segment.size - into),
            )
        })
    }

    /// The 8-byte word that the file puts at an address before relocation.
    #[must_use]
    pub fn word_at(&self, address: u64) -> Option<u64> {
        self.at_address(address, 8)?
            .try_into()
            .ok()
            .map(u64::from_ne_bytes)
    }

    /// One symbol table, or `None` where there is none.
    #[must_use]
    pub fn symbols(&self, table: Table) -> Option<Symbols> {
        let kind = match table {
            Table::Dynamic => elf::SHT_DYNSYM,
            Table::Full => elf::SHT_SYMTAB,
        };
        let section = self.sections.iter().find(|section| section.kind == kind)?;
        let strings = self.sections.get(section.link as usize)?;
        Some(Symbols {
            is_64: self.is_64,
            strings: self.contents(strings, TABLE_LIMIT)?,
            section: section.clone(),
        })
    }

    /// Looks for symbols that are defined in this file, in one pass over the table. The answer has the order
    /// of `names`.
    #[must_use]
    pub fn addresses<const N: usize>(
        &self,
        symbols: &Symbols,
        names: [&str; N],
    ) -> [Option<u64>; N] {
        let mut found = [None; N];
        // Most files have none of them: a search through the names is far quicker than one through the symbols.
        if !names.iter().any(|name| symbols.mentions(name)) {
            return found;
        }
        let Some(bytes) = self.contents(&symbols.section, TABLE_LIMIT) else {
            return found;
        };
        if symbols.is_64 {
            addresses::<elf::Sym64<Endianness>, N>(&bytes, &symbols.strings, names, &mut found);
        } else {
            addresses::<elf::Sym32<Endianness>, N>(&bytes, &symbols.strings, names, &mut found);
        }
        found
    }

    /// Whether the dynamic loader will load a library whose name begins with `prefix` for this file.
    #[must_use]
    pub fn needs(&self, prefix: &str) -> bool {
        let Some(symbols) = self.symbols(Table::Dynamic) else {
            return false;
        };
        let Some(bytes) = self
            .dynamic
            .filter(|(_, size)| *size <= TABLE_LIMIT)
            .and_then(|(offset, size)| read(self.source, offset, size))
        else {
            return false;
        };
        let needed = if self.is_64 {
            needed::<elf::Dyn64<Endianness>>(&bytes)
        } else {
            needed::<elf::Dyn32<Endianness>>(&bytes)
        };
        needed.into_iter().any(|name| {
            usize::try_from(name)
                .ok()
                .and_then(|name| symbols.strings.get(name..))
                .is_some_and(|name| name.starts_with(prefix.as_bytes()))
        })
    }
}

/// The names of a symbol table, and where its symbols are.
pub struct Symbols {
    is_64: bool,
    section: Section,
    strings: Vec<u8>,
}

impl Symbols {
    /// Whether the table's strings have that name.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        memchr::memmem::find_iter(&self.strings, name.as_bytes())
            .any(|begin| self.strings.get(begin + name.len()) == Some(&0))
    }
}

fn addresses<S: Sym<Endian = Endianness>, const N: usize>(
    bytes: &[u8],
    strings: &[u8],
    names: [&str; N],
    found: &mut [Option<u64>; N],
) {
    let e = Endianness::default();
    let Ok((symbols, _)) = pod::slice_from_bytes::<S>(bytes, bytes.len() / size_of::<S>()) else {
        return;
    };
    for symbol in symbols {
        if symbol.st_shndx(e) == elf::SHN_UNDEF {
            continue;
        }
        let Some(text) = strings.get(symbol.st_name(e) as usize..) else {
            continue;
        };
        for (name, found) in names.iter().zip(&mut *found) {
            let is_it = text
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&0));
            if is_it {
                *found = Some(symbol.st_value(e).into());
            }
        }
    }
}

fn needed<D: Dyn<Endian = Endianness>>(bytes: &[u8]) -> Vec<u64> {
    let e = Endianness::default();
    let entries = pod::slice_from_bytes::<D>(bytes, bytes.len() / size_of::<D>())
        .map(|(entries, _)| entries)
        .unwrap_or_default();
    entries
        .iter()
        .filter(|entry| entry.d_tag(e).into() == elf::DT_NEEDED)
        .map(|entry| entry.d_val(e).into())
        .collect()
}

/// Reads a table of `count` headers, each of `entry` bytes: that must be their true size.
fn records<T: Pod>(source: &dyn Source, offset: u64, count: u64, entry: u16) -> Option<Vec<T>> {
    if count != 0 && usize::from(entry) != size_of::<T>() {
        return None;
    }
    let bytes = read(source, offset, count * size_of::<T>() as u64)?;
    let (records, _) = pod::slice_from_bytes::<T>(&bytes, usize::try_from(count).ok()?).ok()?;
    Some(records.to_vec())
}

/// Reads `size` bytes, all of which must be in the file and within the limit.
fn read(source: &dyn Source, offset: u64, size: u64) -> Option<Vec<u8>> {
    if size > TABLE_LIMIT || offset.checked_add(size)? > source.size() {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    source.read_at(offset, &mut bytes).ok()?;
    Some(bytes)
}
