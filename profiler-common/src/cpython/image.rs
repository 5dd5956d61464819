//! A byte image that stands in for a process in tests.

use std::collections::HashMap;

use crate::memory::{Fault, Memory, Words};

/// Words of memory by address; what was not written cannot be read.
#[derive(Clone, Debug, Default)]
pub struct Image {
    words: HashMap<u64, u64>,
}

impl Image {
    /// Writes the word at an address (a multiple of 8).
    pub fn put(&mut self, address: u64, word: u64) {
        self.words.insert(address, word);
    }

    /// Writes zeroes.
    pub fn zero(&mut self, address: u64, bytes: u64) {
        for at in (address..address + bytes).step_by(8) {
            self.put(at, 0);
        }
    }
}

impl Memory for Image {
    fn read<const WORDS: usize>(
        &self,
        address: u64,
        into: &mut Words<WORDS>,
        bytes: u32,
    ) -> Result<(), Fault> {
        if bytes > Words::<WORDS>::BYTES {
            return Err(Fault);
        }
        for index in 0..bytes.div_ceil(8) {
            into.words_mut()[index as usize] =
                self.read_word(address.wrapping_add(u64::from(index) * 8))?;
        }
        Ok(())
    }

    fn read_word(&self, address: u64) -> Result<u64, Fault> {
        self.words.get(&address).copied().ok_or(Fault)
    }
}
