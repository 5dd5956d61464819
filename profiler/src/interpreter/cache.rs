//! What is known of each file, shared by all processes that map it.

use std::{collections::HashMap, fs::Metadata, os::unix::fs::MetadataExt, sync::Arc};

use super::image::Analysis;

/// How many files are remembered. A host has some thousands that are mapped executable.
const CAPACITY: usize = 16_384;

/// A file, as a process's memory map names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Device, as the kernel prints it: major and minor.
    pub device: (u32, u32),
    /// Inode.
    pub inode: u64,
}

/// Tells one content of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Of a file that was looked up.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The analyses of files.
#[derive(Debug)]
pub struct Cache {
    files: HashMap<FileId, (Stamp, Arc<Analysis>)>,
    /// One answer for all the files that have nothing to do with Python.
    not_python: Arc<Analysis>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            files: HashMap::new(),
            not_python: Arc::new(Analysis::NotPython),
        }
    }
}

impl Cache {
    /// What is known of the file, if its content is still the one that was analysed.
    #[must_use]
    pub fn get(&self, file: FileId, stamp: Stamp) -> Option<Arc<Analysis>> {
        self.files
            .get(&file)
            .filter(|(known, _)| *known == stamp)
            .map(|(_, analysis)| Arc::clone(analysis))
    }

    /// Remembers an analysis.
    pub fn insert(&mut self, file: FileId, stamp: Stamp, analysis: Analysis) -> Arc<Analysis> {
        // To analyse again is cheap, and a host with so many files is rare: no order of age is kept.
        if self.files.len() >= CAPACITY {
            self.files.clear();
        }
        let analysis = if analysis == Analysis::NotPython {
            Arc::clone(&self.not_python)
        } else {
            Arc::new(analysis)
        };
        self.files.insert(file, (stamp, Arc::clone(&analysis)));
        analysis
    }

    /// How many files are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no file is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that an inode which another file has taken over, or whose content has changed, is not taken
    /// for what it was.
    #[test]
    fn a_changed_file_is_unknown() {
        let mut cache = Cache::default();
        let file = FileId {
            device: (8, 1),
            inode: 42,
        };
        let stamp = Stamp {
            size: 10,
            modified: (1, 2),
        };
        cache.insert(file, stamp, Analysis::LinksToPython);
        assert_eq!(
            cache.get(file, stamp).as_deref(),
            Some(&Analysis::LinksToPython)
        );
        assert_eq!(cache.get(file, Stamp { size: 11, ..stamp }), None);
        assert_eq!(
            cache.get(
                file,
                Stamp {
                    modified: (1, 3),
                    ..stamp
                }
            ),
            None
        );
        assert_eq!(
            cache.get(
                FileId {
                    device: (8, 2),
                    ..file
                },
                stamp
            ),
            None
        );
    }

    /// Makes sure that the memory which the cache takes has a bound.
    #[test]
    fn it_is_bounded() {
        let mut cache = Cache::default();
        let stamp = Stamp {
            size: 10,
            modified: (1, 2),
        };
        for inode in 0..3 * CAPACITY as u64 {
            cache.insert(
                FileId {
                    device: (8, 1),
                    inode,
                },
                stamp,
                Analysis::NotPython,
            );
            assert!(cache.len() <= CAPACITY);
        }
    }
}
