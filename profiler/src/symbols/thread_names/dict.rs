//! The entries of a dict, and the attributes of an instance, in the order of insertion.

use super::{
    layout::{Attributes, Keys},
    object::{Objects, field, type_flag},
};
use crate::host::memory::ReadBytes;

/// No dict that leads to a thread has more; of one that has, the first ones are read.
const MOST_ENTRIES: u64 = 1 << 16;
/// Hash, key and value.
const ENTRY_BYTES: usize = 24;
/// Key and value.
const TEXT_ENTRY_BYTES: usize = 16;
/// `DICT_KEYS_GENERAL`: entries of a table with a kind that have a hash.
const GENERAL: u8 = 0;
/// How many entries are read at a time: most objects have fewer attributes, and what one looks for in a
/// dict is often among the first.
const CHUNK_ENTRIES: usize = 32;
const VALUE_BYTES: usize = 8;

/// Pairs of the addresses of key and value. It ends early where memory cannot be read.
pub(super) struct Entries<'a, M> {
    objects: &'a Objects<'a, M>,
    /// Where the next chunk of the keys table lies.
    keys: u64,
    /// Where the next chunk of the values lies, for keys tables that several dicts share.
    values: Option<u64>,
    entry_bytes: usize,
    /// Entries not yet read.
    left: u64,
    /// Entries of the chunk, and how many were given.
    in_chunk: usize,
    given: usize,
    key_chunk: [u8; CHUNK_ENTRIES * ENTRY_BYTES],
    value_chunk: [u8; CHUNK_ENTRIES * VALUE_BYTES],
}

impl<'a, M: ReadBytes> Objects<'a, M> {
    /// The entries of a dict.
    pub(super) fn entries(&'a self, dict: u64) -> Option<Entries<'a, M>> {
        let dict = self.of_type(dict, type_flag::DICT)?;
        let keys = self.pointer(dict.wrapping_add(self.layout.dict_keys))?;
        let values = self.word(dict.wrapping_add(self.layout.dict_values))?;
        let values = (values != 0).then(|| values.wrapping_add(self.layout.values_data));
        self.table(keys, values)
    }

    /// The value of a string key.
    pub(super) fn lookup(&'a self, dict: u64, name: &[u8]) -> Option<u64> {
        self.entries(dict)?
            .find(|&(key, _)| self.is_text(key, name))
            .map(|(_, value)| value)
    }

    /// The attributes that an instance has of its own.
    pub(super) fn attributes(&'a self, instance: u64) -> Option<Entries<'a, M>> {
        let layout = self.layout;
        let (kind, flags) = self.type_of(instance)?;
        let shared = |values: u64| {
            let keys = self.pointer(kind.wrapping_add(layout.type_cached_keys))?;
            self.table(keys, Some(values.wrapping_add(layout.values_data)))
        };
        let in_front = |bytes: u64| self.word(instance.wrapping_sub(bytes));
        let managed = flags & type_flag::MANAGED_DICT != 0;
        match layout.attributes {
            Attributes::ValuesOrDict if managed => match in_front(24)? {
                0 => shared(in_front(32).filter(|&values| values != 0)?),
                dict => self.entries(dict),
            },
            Attributes::Tagged if managed => match in_front(24)? {
                values if values & 1 == 1 => shared(values.wrapping_add(1)),
                dict => self.entries(dict),
            },
            Attributes::Inline if managed => match in_front(24)? {
                0 if flags & type_flag::INLINE_VALUES != 0 => {
                    let size = self.word(kind.wrapping_add(layout.type_basic_size))?;
                    shared(instance.wrapping_add(size))
                }
                dict => self.entries(dict),
            },
            _ => {
                let offset = self.word(kind.wrapping_add(layout.type_dict_offset))?;
                // 0: no dict. Negative: from the end of an object of variable size, which no thread is.
                let offset = u32::try_from(offset).ok().filter(|&offset| offset != 0)?;
                self.entries(self.pointer(instance.wrapping_add(offset.into()))?)
            }
        }
    }

    /// The entries of a keys table.
    fn table(&'a self, keys: u64, values: Option<u64>) -> Option<Entries<'a, M>> {
        let mut head = [0; 40];
        let (indices, index_bytes, count, entry_bytes) = match self.layout.keys {
            // dk_refcnt, dk_size, dk_lookup, dk_usable, dk_nentries, dk_indices.
            Keys::Sized => {
                self.bytes(keys, &mut head)?;
                let slots = word_at(&head, 8)?;
                let index_bytes = match slots {
                    0..=0xff => slots,
                    0x100..=0xffff => slots * 2,
                    0x1_0000..=0xffff_ffff => slots * 4,
                    _ => return None,
                };
                (40, index_bytes, word_at(&head, 32)?, ENTRY_BYTES)
            }
            // dk_refcnt, dk_log2_size, dk_log2_index_bytes, dk_kind (a byte each), dk_version (4 bytes),
            // dk_usable, dk_nentries, dk_indices.
            Keys::Logarithmic => {
                self.bytes(keys, head.first_chunk_mut::<32>()?)?;
                let entry_bytes = if head[10] == GENERAL {
                    ENTRY_BYTES
                } else {
                    TEXT_ENTRY_BYTES
                };
                let index_bytes = 1u64.checked_shl(head[9].into())?;
                (32, index_bytes, word_at(&head, 24)?, entry_bytes)
            }
        };
        Some(Entries {
            objects: self,
            keys: keys.wrapping_add(indices).wrapping_add(index_bytes),
            values,
            entry_bytes,
            left: count.min(MOST_ENTRIES),
            in_chunk: 0,
            given: 0,
            key_chunk: [0; CHUNK_ENTRIES * ENTRY_BYTES],
            value_chunk: [0; CHUNK_ENTRIES * VALUE_BYTES],
        })
    }
}

impl<M: ReadBytes> Entries<'_, M> {
    /// The next slot, used or not: addresses of key and value, 0 where there is none.
    fn slot(&mut self) -> Option<(u64, u64)> {
        if self.given == self.in_chunk {
            self.read_chunk()?;
        }
        // Key and value are an entry's last two words, whether or not a hash stands before them.
        let end = (self.given + 1) * self.entry_bytes;
        let key = word_at(&self.key_chunk, end - 16)?;
        let value = match self.values {
            None => word_at(&self.key_chunk, end - 8)?,
            Some(_) => word_at(&self.value_chunk, self.given * VALUE_BYTES)?,
        };
        self.given += 1;
        Some((key, value))
    }

    fn read_chunk(&mut self) -> Option<()> {
        let count = self.left.min(CHUNK_ENTRIES as u64);
        self.left -= count;
        self.given = 0;
        self.in_chunk = 0;
        let in_chunk = usize::try_from(count).ok().filter(|&count| count > 0)?;
        let keys = self.key_chunk.get_mut(..in_chunk * self.entry_bytes)?;
        self.objects.bytes(self.keys, keys)?;
        self.keys = self.keys.wrapping_add(keys.len() as u64);
        if let Some(address) = &mut self.values {
            let values = self.value_chunk.get_mut(..in_chunk * VALUE_BYTES)?;
            self.objects.bytes(*address, values)?;
            *address = address.wrapping_add(values.len() as u64);
        }
        self.in_chunk = in_chunk;
        Some(())
    }
}

impl<M: ReadBytes> Iterator for Entries<'_, M> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        loop {
            let entry = self.slot()?;
            if entry.0 != 0 && entry.1 != 0 {
                return Some(entry);
            }
        }
    }
}

fn word_at(bytes: &[u8], offset: usize) -> Option<u64> {
    field(bytes, offset as u64).map(u64::from_ne_bytes)
}
