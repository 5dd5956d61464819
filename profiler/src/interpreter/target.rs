//! Access to a process's files and memory by way of /proc.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    cache::FileId,
    elf::FileSource,
    maps::{self, Mapping},
};

/// One process.
#[derive(Debug)]
pub struct Target {
    directory: PathBuf,
    /// Its root directory where that is not the one of its mount namespace: it was changed by chroot.
    root: Option<String>,
}

impl Target {
    /// The process with that id in the profiler's own pid namespace.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        let root = fs::read_link(directory.join("root"))
            .ok()
            .and_then(|root| root.into_os_string().into_string().ok())
            .filter(|root| root != "/");
        Self { directory, root }
    }

    /// Its executable file mappings.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn mappings(&self) -> io::Result<Vec<Mapping>> {
        maps::executable(BufReader::new(File::open(self.directory.join("maps"))?))
    }

    /// A mapping's path as the process itself sees it.
    #[must_use]
    pub fn path(&self, mapping: &Mapping) -> String {
        let path = mapping
            .path
            .strip_suffix(" (deleted)")
            .unwrap_or(&mapping.path);
        let path = path.replace("\\012", "\n");
        match &self.root {
            Some(root) => path
                .strip_prefix(root.as_str())
                .map_or(path.clone(), str::to_owned),
            None => path,
        }
    }

    /// Finds the file behind a mapping.
    ///
    /// # Errors
    /// Where it cannot be reached.
    pub fn locate(&self, mapping: &Mapping) -> io::Result<Located> {
        // The kernel's own link leads to the file that is mapped, even when it was deleted or is hidden by another
        // mount. Following it takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the initial user namespace.
        let link = self
            .directory
            .join(format!("map_files/{:x}-{:x}", mapping.start, mapping.end));
        let (path, metadata) = match fs::metadata(&link) {
            Ok(metadata) => (link, metadata),
            Err(_) => self.by_path(mapping)?,
        };
        // Anything else might block, or do something, when it is opened.
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Located { path, metadata })
    }

    /// The program that it executes.
    ///
    /// # Errors
    /// Where it cannot be reached, or there is none.
    pub fn program(&self) -> io::Result<(Located, FileId)> {
        let path = self.directory.join("exe");
        let metadata = fs::metadata(&path)?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let identity = FileId {
            device: (libc::major(metadata.dev()), libc::minor(metadata.dev())),
            inode: metadata.ino(),
        };
        Ok((Located { path, metadata }, identity))
    }

    fn by_path(&self, mapping: &Mapping) -> io::Result<(PathBuf, Metadata)> {
        let seen = self.path(mapping);
        let path = self
            .directory
            .join("root")
            .join(seen.trim_start_matches('/'));
        let metadata = fs::metadata(&path)?;
        // Another file may lie at that path by now, or a link that leads out of the process's root.
        let device = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
        if metadata.ino() != mapping.file.inode || device != mapping.file.device {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok((path, metadata))
    }

    /// Reads an 8-byte word of its memory.
    #[must_use]
    pub fn word(&self, address: u64) -> Option<u64> {
        let memory = File::open(self.directory.join("mem")).ok()?;
        let mut word = [0; 8];
        memory.read_exact_at(&mut word, address).ok()?;
        Some(u64::from_ne_bytes(word))
    }
}

/// A regular file that a process has mapped.
#[derive(Debug)]
pub struct Located {
    path: PathBuf,
    /// What is known of it without opening it.
    pub metadata: Metadata,
}

impl Located {
    /// Opens it for reading.
    ///
    /// # Errors
    /// Where that fails, or another file has taken its place.
    pub fn open(&self) -> io::Result<FileSource> {
        let file = open(&self.path)?;
        let metadata = file.metadata()?;
        let same = metadata.dev() == self.metadata.dev() && metadata.ino() == self.metadata.ino();
        if !metadata.is_file() || !same {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(FileSource {
            file,
            size: metadata.size(),
        })
    }
}

fn open(path: &Path) -> io::Result<File> {
    // The path may have changed hands since it was looked at: never wait for a FIFO's other end.
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::{ffi::CString, os::unix::ffi::OsStrExt, process};

    use super::*;

    fn mapping(path: &Path, file: FileId) -> Mapping {
        let path = path.to_string_lossy().into_owned();
        Mapping {
            start: 0,
            end: 0x1000,
            offset: 0,
            file,
            path,
        }
    }

    fn identity(metadata: &Metadata) -> FileId {
        FileId {
            device: (libc::major(metadata.dev()), libc::minor(metadata.dev())),
            inode: metadata.ino(),
        }
    }

    /// Makes sure that by its path a mapping's file is only taken if it is that very file and a regular one, and
    /// that nothing waits for a FIFO.
    #[test]
    fn only_the_mapped_file_is_opened() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let target = Target::new(process::id());
        let path = directory.path().join("file");
        fs::write(&path, "content")?;
        let file = identity(&fs::metadata(&path)?);
        assert_eq!(target.locate(&mapping(&path, file))?.open()?.size, 7);
        let other = FileId {
            inode: file.inode + 1,
            ..file
        };
        assert!(target.locate(&mapping(&path, other)).is_err());

        let located = target.locate(&mapping(&path, file))?;
        fs::rename(&path, directory.path().join("moved"))?;
        let name = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the path is a NUL-terminated string that lives until the call returns.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(located.open().is_err());
        let fifo = identity(&fs::metadata(&path)?);
        assert!(target.locate(&mapping(&path, fifo)).is_err());
        Ok(())
    }
}
