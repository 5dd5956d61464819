//! Parts of code objects: names, file names, line tables.

use std::sync::Arc;

use foldhash::HashSet;

/// What a section takes besides its own bytes, until the profile is written.
const SECTION_BYTES: usize = 96;

/// A part of a code object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// All of it has arrived: shared between code objects where it is the same.
    Whole(Arc<[u8]>),
    /// Some of it has.
    Part {
        /// The first bytes: no more is allocated, whatever length is claimed.
        arrived: Vec<u8>,
        /// How many there are to be.
        length: usize,
    },
}

impl Section {
    /// A section of which nothing could be read.
    #[must_use]
    pub const fn missing() -> Self {
        // One byte to come, so that it does not count as complete.
        Self::begun(Vec::new(), 1)
    }

    /// A section of which the first bytes have arrived.
    #[must_use]
    pub const fn begun(arrived: Vec<u8>, length: usize) -> Self {
        Self::Part { arrived, length }
    }

    /// Takes in further bytes, where they are those that come next.
    pub fn add(&mut self, offset: usize, bytes: &[u8], shared: &mut Shared) {
        if let Self::Part { arrived, length } = self
            && arrived.len() == offset
            && bytes.len() <= length.saturating_sub(offset)
        {
            arrived.extend_from_slice(bytes);
            if arrived.len() == *length {
                *self = shared.section(arrived);
            }
        }
    }

    /// How many bytes have arrived.
    #[must_use]
    pub fn arrived(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Part { arrived, .. } => arrived.len(),
        }
    }

    /// The bytes, if all have arrived.
    #[must_use]
    pub fn complete(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Part { .. } => None,
        }
    }

    /// How many bytes are its own, which it does not share.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        match self {
            Self::Whole(_) => 0,
            Self::Part { arrived, .. } => arrived.len(),
        }
    }

    /// What is gained where it is dropped, of what it could share: nothing where it does.
    #[must_use]
    pub fn shared_alone(&self) -> usize {
        match self {
            // One is the section's, the other the set's.
            Self::Whole(bytes) if Arc::strong_count(bytes) == 2 => Shared::bytes_of(bytes),
            _ => 0,
        }
    }
}

/// Bytes that are kept once, whatever they are part of.
#[derive(Debug, Default)]
pub struct Shared {
    all: HashSet<Arc<[u8]>>,
    /// What they take, until the profile is written.
    bytes: usize,
}

impl Shared {
    /// A section that is complete.
    pub fn section(&mut self, bytes: &[u8]) -> Section {
        Section::Whole(self.share(bytes))
    }

    /// What all take, in bytes: estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn share(&mut self, bytes: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.all.get(bytes) {
            return Arc::clone(known);
        }
        let new: Arc<[u8]> = bytes.into();
        self.all.insert(Arc::clone(&new));
        self.bytes += Self::bytes_of(&new);
        new
    }

    /// Names are decoded for the profile, and looked up by their bytes.
    fn bytes_of(bytes: &[u8]) -> usize {
        SECTION_BYTES + 2 * bytes.len()
    }

    /// Forgets what is part of nothing any more.
    pub fn forget_unused(&mut self) {
        self.all.retain(|bytes| {
            let is_used = Arc::strong_count(bytes) > 1;
            if !is_used {
                self.bytes -= Self::bytes_of(bytes);
            }
            is_used
        });
    }
}
