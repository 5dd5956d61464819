//! Offsets of fields in kernel structures, from the kernel's own description of its types (BTF).
//!
//! aya parses BTF but keeps members to itself, and Rust has no CO-RE relocations: what is needed are a
//! handful of offsets. Format: Linux Documentation/bpf/btf.rst.

use std::{fs, io, path::Path};

/// Where the kernel describes its types.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Why an offset could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file is not there: the kernel was built without CONFIG_DEBUG_INFO_BTF.
    #[error("cannot read {KERNEL_BTF}: {0}")]
    Read(#[from] io::Error),
    /// The file is cut short or not BTF.
    #[error("{KERNEL_BTF} is malformed")]
    Malformed,
    /// A structure or a field is not there.
    #[error("the kernel's types have no {0}")]
    Missing(String),
}

const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
/// Bytes of a `struct btf_type`.
const TYPE_BYTES: usize = 12;
/// Anonymous structures nest at most this deep.
const MAX_NESTING: u32 = 8;

/// A parsed BTF image.
pub struct Btf {
    image: Vec<u8>,
    /// Offset in `image` of each type's record, by type id (0 is void).
    types: Vec<u32>,
    strings: usize,
}

impl Btf {
    /// The running kernel's types.
    ///
    /// # Errors
    /// Where the kernel has no BTF or it is malformed.
    pub fn of_kernel() -> Result<Self, BtfError> {
        Self::parse(fs::read(Path::new(KERNEL_BTF))?)
    }

    fn parse(image: Vec<u8>) -> Result<Self, BtfError> {
        let word = |at: usize| word(&image, at);
        if word(0)? & 0xffff != 0xeb9f {
            return Err(BtfError::Malformed);
        }
        let header = word(4)? as usize;
        let begin = header.saturating_add(word(8)? as usize);
        let end = begin.saturating_add(word(12)? as usize);
        let strings = header.saturating_add(word(16)? as usize);
        let mut types = vec![0];
        let mut at = begin;
        while at + TYPE_BYTES <= end {
            types.push(u32::try_from(at).map_err(|_| BtfError::Malformed)?);
            let info = word(at + 4)?;
            let entries = (info & 0xffff) as usize;
            // What follows a type's record, by kind: include/uapi/linux/btf.h.
            let extra = match info >> 24 & 0x1f {
                1 | 14 | 17 => 4,
                KIND_ARRAY => 12,
                KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * entries,
                KIND_ENUM | 13 => 8 * entries,
                _ => 0,
            };
            at += TYPE_BYTES + extra;
        }
        Ok(Self {
            image,
            types,
            strings,
        })
    }

    /// The offset in bytes of a field given as a path: `["thread", "fsbase"]` in `task_struct`.
    ///
    /// # Errors
    /// Where the structure or a field on the path is not there.
    pub fn offset(&self, structure: &str, path: &[&str]) -> Result<u32, BtfError> {
        let missing = || BtfError::Missing(format!("{structure}.{}", path.join(".")));
        let mut id = (1..self.types.len() as u32)
            .find(|&id| {
                self.kind(id) == Some(KIND_STRUCT) && self.name(id) == Some(structure.as_bytes())
            })
            .ok_or_else(missing)?;
        let mut offset = 0;
        for field in path {
            let (member_offset, member_type) = self
                .member(id, field.as_bytes(), MAX_NESTING)
                .ok_or_else(missing)?;
            offset += member_offset;
            id = self.strip(member_type);
        }
        Ok(offset)
    }

    /// The names and values of an enumeration; none where there is no such.
    #[must_use]
    pub fn enumerators(&self, enumeration: &str) -> Vec<(String, u32)> {
        let found = (1..self.types.len() as u32).find(|&id| {
            self.kind(id) == Some(KIND_ENUM) && self.name(id) == Some(enumeration.as_bytes())
        });
        let Some(at) = found.map(|id| self.types[id as usize] as usize) else {
            return Vec::new();
        };
        let entries = word(&self.image, at + 4).map_or(0, |info| info & 0xffff) as usize;
        (0..entries)
            .filter_map(|entry| {
                let entry = at + TYPE_BYTES + 8 * entry;
                let name = self.string(word(&self.image, entry).ok()?)?;
                let value = word(&self.image, entry + 4).ok()?;
                Some((String::from_utf8_lossy(name).into_owned(), value))
            })
            .collect()
    }

    /// Offset and type of a member, looked for in anonymous members too.
    fn member(&self, id: u32, name: &[u8], nesting: u32) -> Option<(u32, u32)> {
        let at = *self.types.get(id as usize)? as usize;
        let info = word(&self.image, at + 4).ok()?;
        let has_bitfields = info >> 31 == 1;
        for entry in 0..(info & 0xffff) as usize {
            let member = at + TYPE_BYTES + 12 * entry;
            let bits = word(&self.image, member + 8).ok()?;
            let bits = if has_bitfields {
                bits & 0x00ff_ffff
            } else {
                bits
            };
            let member_type = word(&self.image, member + 4).ok()?;
            let member_name = self.string(word(&self.image, member).ok()?)?;
            if member_name == name {
                return Some((bits / 8, member_type));
            }
            if member_name.is_empty() && nesting > 0 {
                let inner = self.strip(member_type);
                if matches!(self.kind(inner), Some(KIND_STRUCT | KIND_UNION))
                    && let Some((offset, found)) = self.member(inner, name, nesting - 1)
                {
                    return Some((bits / 8 + offset, found));
                }
            }
        }
        None
    }

    /// The type behind typedefs, const, volatile, restrict and type tags.
    fn strip(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_NESTING {
            match self.kind(id) {
                Some(8..=11 | 18) => {
                    let at = self.types[id as usize] as usize;
                    let Ok(target) = word(&self.image, at + 8) else {
                        break;
                    };
                    id = target;
                }
                _ => break,
            }
        }
        id
    }

    fn kind(&self, id: u32) -> Option<u32> {
        let at = *self.types.get(id as usize).filter(|_| id != 0)? as usize;
        Some(word(&self.image, at + 4).ok()? >> 24 & 0x1f)
    }

    fn name(&self, id: u32) -> Option<&[u8]> {
        self.string(word(&self.image, *self.types.get(id as usize)? as usize).ok()?)
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let text = self
            .image
            .get(self.strings.checked_add(offset as usize)?..)?;
        text.split(|&byte| byte == 0).next()
    }
}

fn word(image: &[u8], at: usize) -> Result<u32, BtfError> {
    image
        .get(at..at.saturating_add(4))
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_ne_bytes)
        .ok_or(BtfError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that hostile or cut images are refused or yield nothing, and never panic.
    #[test]
    fn malformed_images_are_refused() {
        assert!(matches!(Btf::parse(Vec::new()), Err(BtfError::Malformed)));
        assert!(matches!(Btf::parse(vec![0; 64]), Err(BtfError::Malformed)));
        let mut header = vec![0x9f, 0xeb, 1, 0];
        header.extend(
            [24u32, 0, u32::MAX, u32::MAX, 0]
                .iter()
                .flat_map(|word| word.to_ne_bytes()),
        );
        if let Ok(btf) = Btf::parse(header) {
            assert!(matches!(
                btf.offset("task_struct", &["pid"]),
                Err(BtfError::Missing(_))
            ));
            assert!(btf.enumerators("cgroup_subsys_id").is_empty());
        }
    }
}
