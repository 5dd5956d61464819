//! Which shared libraries an ELF file wants.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use object::{
    LittleEndian,
    elf::{self, FileHeader64},
    read::elf::{Dyn as _, FileHeader as _},
};

/// The names of the libraries that the file at `path` is linked to; none where it is no 64-bit ELF file or static.
pub fn needed(path: &Path) -> Result<Vec<String>> {
    let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(parse(&data).unwrap_or_default())
}

fn parse(data: &[u8]) -> Option<Vec<String>> {
    let header = FileHeader64::<LittleEndian>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let (entries, link) = sections.dynamic(endian, data).ok()??;
    let strings = sections.strings(endian, data, link).ok()?;
    Some(
        entries
            .iter()
            .filter(|entry| entry.d_tag(endian) == elf::DT_NEEDED)
            .filter_map(|entry| entry.string(endian, strings).ok())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect(),
    )
}
