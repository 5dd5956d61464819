//! Where output goes: opened before recording, written after.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write, stdout},
    path::{Path, PathBuf},
};

use crate::host::caller::give_to_caller;

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub struct NotWritable {
    path: PathBuf,
    error: io::Error,
}

/// A file, or standard output.
#[derive(Debug)]
pub struct Destination {
    file: Option<(File, PathBuf)>,
    /// Whether the file did not exist before: then it goes again if nothing is written.
    is_new: bool,
}

impl Destination {
    /// Opens a file; what is in it stays until something is written. None: standard output.
    ///
    /// # Errors
    /// Where it cannot be opened for writing.
    pub fn open(path: Option<&Path>) -> Result<Self, NotWritable> {
        let Some(path) = path else {
            return Ok(Self {
                file: None,
                is_new: false,
            });
        };
        let is_new = !path.exists();
        let not_writable = |error| NotWritable {
            path: path.to_owned(),
            error,
        };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(not_writable)?;
        if is_new {
            give_to_caller(&file).map_err(not_writable)?;
        }
        Ok(Self {
            file: Some((file, path.to_owned())),
            is_new,
        })
    }

    /// Replaces what is there by what `write` writes.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(
        mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), NotWritable> {
        let Some((file, path)) = &self.file else {
            return write(&mut stdout().lock()).map_err(|error| NotWritable {
                path: "standard output".into(),
                error,
            });
        };
        let not_writable = |error| NotWritable {
            path: path.clone(),
            error,
        };
        // Pipes and devices cannot be cut, and need not be.
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            file.set_len(0).map_err(not_writable)?;
        }
        let mut out = BufWriter::new(file);
        write(&mut out)
            .and_then(|()| out.flush())
            .map_err(not_writable)?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let (true, Some((_, path))) = (self.is_new, &self.file) {
            // An empty file that was never asked for by anyone else: nothing is lost where it stays.
            let _ = fs::remove_file(path);
        }
    }
}
