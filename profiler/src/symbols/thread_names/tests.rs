//! Thread names from byte images: the objects of a made-up process, whole and damaged.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{
    ThreadName,
    layout::{Digits, Keys, ObjectLayout},
    object::type_flag,
    thread_names,
};
use crate::host::memory::ReadBytes;
use profiler_common::memory::Fault;

const VERSIONS: std::ops::RangeInclusive<u32> = 6..=15;
const BASE: u64 = 0x7f00_0000_0000;
/// More than any object here has fields.
const OBJECT_BYTES: u64 = 1024;

/// The memory of a process that holds nothing but a few objects.
#[derive(Clone)]
struct Image {
    layout: &'static ObjectLayout,
    bytes: Vec<u8>,
    int_type: u64,
    text_type: u64,
    dict_type: u64,
    interned: HashMap<&'static str, u64>,
}

impl ReadBytes for Image {
    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let from = address.checked_sub(BASE).ok_or(Fault)? as usize;
        let to = from.checked_add(into.len()).ok_or(Fault)?;
        into.copy_from_slice(self.bytes.get(from..to).ok_or(Fault)?);
        Ok(())
    }
}

impl Image {
    fn new(layout: &'static ObjectLayout) -> Self {
        let mut image = Self {
            layout,
            bytes: Vec::new(),
            int_type: 0,
            text_type: 0,
            dict_type: 0,
            interned: HashMap::new(),
        };
        image.int_type = image.class(type_flag::INT, 0);
        image.text_type = image.class(type_flag::TEXT, 0);
        image.dict_type = image.class(type_flag::DICT, 0);
        image
    }

    fn allocate(&mut self, bytes: u64) -> u64 {
        let address = BASE + self.bytes.len() as u64;
        self.bytes.resize(self.bytes.len() + bytes as usize, 0);
        address
    }

    fn put(&mut self, address: u64, bytes: &[u8]) {
        let at = (address - BASE) as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_word(&mut self, address: u64, word: u64) {
        self.put(address, &word.to_ne_bytes());
    }

    fn object(&mut self, class: u64) -> u64 {
        let object = self.allocate(OBJECT_BYTES);
        self.put_word(object + self.layout.object_type, class);
        object
    }

    fn class(&mut self, flags: u64, dict_offset: u64) -> u64 {
        let class = self.allocate(OBJECT_BYTES);
        self.put_word(class + self.layout.type_flags, flags);
        self.put_word(class + self.layout.type_dict_offset, dict_offset);
        class
    }

    fn int(&mut self, value: u64) -> u64 {
        let object = self.object(self.int_type);
        let (size, digits) = (self.layout.int_size, self.layout.int_digits);
        let tag = match self.layout.digits {
            Digits::Signed => 2,
            Digits::Tagged => 2 << 3,
        };
        self.put_word(object + size, tag);
        let low = (value & 0x3fff_ffff) as u32;
        self.put(object + digits, &low.to_ne_bytes());
        self.put(object + digits + 4, &((value >> 30) as u32).to_ne_bytes());
        object
    }

    fn text(&mut self, text: &str) -> u64 {
        let layout = self.layout;
        let object = self.object(self.text_type);
        let points: Vec<u32> = text.chars().map(u32::from).collect();
        self.put_word(object + layout.text_length, points.len() as u64);
        let ascii = u32::from(text.is_ascii());
        let kind = if text.is_ascii() { 1 } else { 4 };
        let state = kind << layout.text_kind_shift
            | 1 << layout.text_compact_bit
            | ascii << layout.text_ascii_bit;
        self.put(object + layout.text_state, &state.to_ne_bytes());
        if text.is_ascii() {
            self.put(object + layout.text_ascii_data, text.as_bytes());
        } else {
            let data: Vec<u8> = points.into_iter().flat_map(u32::to_ne_bytes).collect();
            self.put(object + layout.text_compact_data, &data);
        }
        object
    }

    /// A name in the program's code: all mentions of it are one object.
    fn interned(&mut self, name: &'static str) -> u64 {
        if let Some(&object) = self.interned.get(name) {
            return object;
        }
        let object = self.text(name);
        self.interned.insert(name, object);
        object
    }

    /// A dict with room for 8 entries, and in front of them one that was deleted.
    fn dict(&mut self, entries: &[(u64, u64)]) -> u64 {
        let object = self.object(self.dict_type);
        let keys = self.allocate(OBJECT_BYTES);
        self.put_word(object + self.layout.dict_keys, keys);
        let count = entries.len() as u64 + 1;
        let first = match self.layout.keys {
            Keys::Sized => {
                self.put_word(keys + 8, 8);
                self.put_word(keys + 32, count);
                keys + 40 + 8
            }
            Keys::Logarithmic => {
                self.put(keys + 8, &[3, 3, 0]);
                self.put_word(keys + 24, count);
                keys + 32 + 8
            }
        };
        for (at, &(key, value)) in entries.iter().enumerate() {
            let entry = first + (at as u64 + 1) * 24;
            self.put_word(entry + 8, key);
            self.put_word(entry + 16, value);
        }
        object
    }

    fn thread(&mut self, class: u64, name: &str, native_id: Option<u64>) -> u64 {
        let thread = self.object(class);
        let mut attributes = vec![];
        for (key, value) in [
            (self.interned("_target"), Some(self.int_type)),
            (self.interned("_name"), Some(self.text(name))),
            (
                self.interned("_native_id"),
                native_id.map(|id| self.int(id)),
            ),
        ] {
            attributes.extend(value.map(|value| (key, value)));
        }
        let dict = self.dict(&attributes);
        self.put_word(thread + 16, dict);
        thread
    }

    fn interpreter(&mut self, next: u64, threads: &[(u64, u64)]) -> u64 {
        let layout = self.layout;
        let active = self.dict(threads);
        let globals = [
            (self.interned("_limbo"), active),
            (self.interned("_active"), active),
        ];
        let globals = self.dict(&globals);
        let threading = self.allocate(OBJECT_BYTES);
        self.put_word(threading + layout.module_dict, globals);
        let modules = [
            (self.text("builtins"), threading),
            (self.text("threading"), threading),
        ];
        let modules = self.dict(&modules);
        let interpreter = self.allocate(8192);
        self.put_word(interpreter + layout.interpreter_modules, modules);
        self.put_word(interpreter + layout.interpreter_next, next);
        interpreter
    }
}

/// Two interpreters, of which the second comes first in the list; the thread 0x7fff_1234_5678 runs in
/// both. Returns the image and the address of the pointer to the first.
fn two_interpreters(minor: u32) -> (Image, u64) {
    let mut image = Image::new(ObjectLayout::of((3, minor)).unwrap());
    // A class without managed dicts, which any version may have.
    let class = image.class(0, 16);
    let shared = image.int(0x7fff_1234_5678);
    let main = [
        (shared, image.thread(class, "host", Some(4_000_000))),
        (image.int(17), image.thread(class, "поток", None)),
    ];
    let main = image.interpreter(0, &main);
    let second = [
        (shared, image.thread(class, "MainThread", Some(4_000_000))),
        (image.int(18), image.thread(class, "inner", Some(12))),
    ];
    let second = image.interpreter(main, &second);
    let pointer = image.allocate(8);
    image.put_word(pointer, second);
    (image, pointer)
}

/// Makes sure that names and native ids are found in the layout of each version, and that for a thread
/// known to two interpreters the main one, the last in the list, has its say.
#[test]
fn whole_image() {
    let thread = |name: &str, native_id| ThreadName {
        name: name.to_owned(),
        native_id,
    };
    for minor in VERSIONS {
        let (image, pointer) = two_interpreters(minor);
        assert_eq!(
            thread_names(&image, pointer, (3, minor)),
            HashMap::from([
                (0x7fff_1234_5678, thread("host", Some(4_000_000))),
                (17, thread("поток", None)),
                (18, thread("inner", Some(12))),
            ]),
            "3.{minor}"
        );
    }
}

/// Makes sure that an unknown version, and a pointer to nothing, give no names.
#[test]
fn nothing_known() {
    let (image, pointer) = two_interpreters(12);
    for version in [(2, 7), (3, 5), (3, 16), (4, 12)] {
        assert!(thread_names(&image, pointer, version).is_empty());
    }
    for pointer in [0, BASE - 8, u64::MAX] {
        assert!(thread_names(&image, pointer, (3, 12)).is_empty());
    }
}

/// Makes sure that objects of other types than expected are not taken for what they are not.
#[test]
fn other_types() {
    for minor in VERSIONS {
        let (mut image, pointer) = two_interpreters(minor);
        for class in [image.int_type, image.text_type, image.dict_type] {
            let mut other = image.clone();
            other.put_word(class + other.layout.type_flags, 0);
            assert!(thread_names(&other, pointer, (3, minor)).is_empty());
        }
        image.bytes.truncate((pointer - BASE) as usize + 7);
        assert!(thread_names(&image, pointer, (3, minor)).is_empty());
    }
}

/// A memory in which every word is one and the same.
struct Mirrors {
    word: u64,
}

impl ReadBytes for Mirrors {
    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let word = self.word.to_ne_bytes();
        for (at, byte) in into.iter_mut().enumerate() {
            *byte = word[address.wrapping_add(at as u64) as usize % 8];
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Makes sure that an image with damaged words, which may lead anywhere in it and in circles, makes
    /// nothing panic or run on, and that no name is longer than the limit.
    #[test]
    fn damaged_image(
        minor in VERSIONS,
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            any::<u64>(),
            (0u64..60_000).prop_map(|offset| BASE + offset * 8),
            0u64..300,
            Just(u64::MAX),
        ]), 1..400),
    ) {
        let (mut image, pointer) = two_interpreters(minor);
        // Damage that is spread over all words would mostly hit those that nobody reads.
        let words = image.bytes.as_chunks::<8>().0;
        let used: Vec<u64> = (BASE..)
            .step_by(8)
            .zip(words)
            .filter(|&(_, word)| word != &[0; 8])
            .map(|(address, _)| address)
            .collect();
        for (index, word) in damage {
            image.put_word(*index.get(&used), word);
        }
        for thread in thread_names(&image, pointer, (3, minor)).values() {
            prop_assert!(thread.name.chars().count() <= 1024);
        }
    }

    /// Makes sure that a process that shows itself in every pointer is done with in the end.
    #[test]
    fn hall_of_mirrors(minor in VERSIONS, bits: u64, flags: u64, pointer: u64) {
        let types = type_flag::INT | type_flag::TEXT | type_flag::DICT;
        let managed = (type_flag::MANAGED_DICT | type_flag::INLINE_VALUES) & flags;
        for word in [bits, bits | types, types | managed | bits & 0xff, 0] {
            let names = thread_names(&Mirrors { word }, pointer, (3, minor));
            prop_assert!(names.len() <= 1, "all idents are the same");
        }
    }
}
