//! Archives in cpio's `newc` format, of which the kernel makes its first root file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

enum Content {
    Directory,
    Symlink(PathBuf),
    /// A file of the host.
    Copy(PathBuf),
    Text(String),
    /// Major and minor number.
    Device(u32, u32),
}

/// What will be in the root file system. Parents need not be added, and all belongs to root.
#[derive(Default)]
pub struct Archive {
    /// Ordered, so that a directory comes before what is in it.
    entries: BTreeMap<PathBuf, Content>,
}

impl Archive {
    /// Adds a directory.
    pub fn directory(&mut self, path: impl AsRef<Path>) {
        self.add(path.as_ref(), Content::Directory);
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: impl AsRef<Path>, target: impl Into<PathBuf>) {
        self.add(path.as_ref(), Content::Symlink(target.into()));
    }

    /// Adds a copy of the host's file `source`.
    pub fn copy(&mut self, path: impl AsRef<Path>, source: impl Into<PathBuf>) {
        self.add(path.as_ref(), Content::Copy(source.into()));
    }

    /// Adds an executable script.
    pub fn script(&mut self, path: impl AsRef<Path>, text: String) {
        self.add(path.as_ref(), Content::Text(text));
    }

    /// Adds a character device.
    pub fn device(&mut self, path: impl AsRef<Path>, major: u32, minor: u32) {
        self.add(path.as_ref(), Content::Device(major, minor));
    }

    fn add(&mut self, path: &Path, content: Content) {
        let path = relative(path);
        for parent in path.ancestors().skip(1) {
            if !parent.as_os_str().is_empty() {
                self.entries
                    .entry(parent.to_owned())
                    .or_insert(Content::Directory);
            }
        }
        self.entries.insert(path, content);
    }

    /// Writes the archive.
    pub fn write(&self, mut to: impl Write) -> Result<()> {
        for (index, (path, content)) in (1..).zip(&self.entries) {
            let (mode, data, device) = match content {
                Content::Directory => (DIRECTORY | 0o755, Vec::new(), (0, 0)),
                Content::Symlink(target) => (
                    SYMLINK | 0o777,
                    target.as_os_str().as_bytes().to_vec(),
                    (0, 0),
                ),
                Content::Copy(source) => {
                    let context = || format!("cannot read {}", source.display());
                    let data = fs::read(source).with_context(context)?;
                    let mode = fs::metadata(source)
                        .with_context(context)?
                        .permissions()
                        .mode();
                    (FILE | mode & 0o777, data, (0, 0))
                }
                Content::Text(text) => (FILE | 0o755, text.as_bytes().to_vec(), (0, 0)),
                Content::Device(major, minor) => {
                    (CHARACTER_DEVICE | 0o600, Vec::new(), (*major, *minor))
                }
            };
            entry(
                &mut to,
                index,
                path.as_os_str().as_bytes(),
                mode,
                &data,
                device,
            )?;
        }
        entry(&mut to, 0, b"TRAILER!!!", 0, &[], (0, 0))?;
        to.flush()?;
        Ok(())
    }
}

/// The path without its root, and without `.` and `..`.
fn relative(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

fn entry(
    to: &mut impl Write,
    inode: u32,
    name: &[u8],
    mode: u32,
    data: &[u8],
    (major, minor): (u32, u32),
) -> io::Result<()> {
    let size = u32::try_from(data.len())
        .map_err(|_| io::Error::other("a file of 4 GiB or more does not fit into the format"))?;
    let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
    // inode, mode, uid, gid, links, mtime, size, device, device of the node, name's size, checksum.
    let fields = [
        inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0,
    ];
    write!(to, "070701")?;
    for field in fields {
        write!(to, "{field:08x}")?;
    }
    to.write_all(name)?;
    to.write_all(&[0])?;
    pad(to, 110 + name.len() + 1)?;
    to.write_all(data)?;
    pad(to, data.len())
}

/// Fills up to a multiple of four bytes.
fn pad(to: &mut impl Write, length: usize) -> io::Result<()> {
    to.write_all(&[0; 3][..length.wrapping_neg() % 4])
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::Archive;

    /// The cpio program lists what was archived, parents included, with the right kinds.
    #[test]
    fn cpio_reads_what_is_written() {
        let mut archive = Archive::default();
        archive.script("/usr/bin/init", "#!/bin/sh\n".into());
        archive.symlink("/bin", "usr/bin");
        archive.device("/dev/console", 5, 1);
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        let Ok(mut cpio) = Command::new("cpio")
            .args(["-t", "-v", "--numeric-uid-gid"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
        else {
            println!("skipped: no cpio");
            return;
        };
        cpio.stdin.take().unwrap().write_all(&bytes).unwrap();
        let listing = cpio.wait_with_output().unwrap();
        assert!(listing.status.success());
        let text = String::from_utf8(listing.stdout).unwrap();
        let kinds: Vec<(&str, &str)> = text
            .lines()
            .map(|line| {
                let name = line.split_whitespace().nth_back(0).unwrap();
                (&line[..10], name)
            })
            .collect();
        assert_eq!(
            kinds,
            [
                ("lrwxrwxrwx", "usr/bin"),
                ("drwxr-xr-x", "dev"),
                ("crw-------", "dev/console"),
                ("drwxr-xr-x", "usr"),
                ("drwxr-xr-x", "usr/bin"),
                ("-rwxr-xr-x", "usr/bin/init"),
            ]
        );
    }
}
