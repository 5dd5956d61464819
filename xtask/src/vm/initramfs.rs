//! The root file system of a virtual machine: interpreters, the profiler and the truth tests, and only what
//! these need, each at the path that it has on the host. Libraries come from the newer of the two systems,
//! since an older program runs with a newer libc, but not the other way round.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    cpio::Archive,
    guest::{self, Guest, Interpreter},
    libraries,
};
use crate::setup;

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const PROGRAMS: &[&str] = &[
    "cat", "chmod", "ln", "ls", "mkdir", "mount", "rm", "sleep", "uname",
];
/// Parts of a standard library, or beside it, that no program under test imports.
const LEFT_OUT: &[&str] = &[
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
];

/// Writes the archive to `to`; returns its size in bytes.
pub fn write(guest: &Guest, to: &Path) -> Result<u64> {
    let mut root = Root {
        archive: Archive::default(),
        newer: setup::forky(),
        seen: BTreeSet::new(),
    };
    root.base()?;
    for interpreter in &guest.interpreters {
        root.interpreter(interpreter)?;
    }
    root.elf(&guest.profiler, &guest.profiler)?;
    root.elf(&guest.tests, &guest.tests)?;
    root.tree(&guest.programs, &guest.programs)?;
    root.archive.script("init", guest::script(guest));
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    root.archive.write(BufWriter::new(&file))?;
    Ok(file.metadata()?.len())
}

struct Root {
    archive: Archive,
    /// The root file system with the newer libc.
    newer: PathBuf,
    /// Libraries that were looked for.
    seen: BTreeSet<String>,
}

impl Root {
    fn base(&mut self) -> Result<()> {
        for name in ["bin", "lib", "lib64", "sbin"] {
            self.archive.symlink(name, Path::new("usr").join(name));
        }
        self.archive.directory("usr/sbin");
        for mount_point in ["dev", "proc", "sys", "tmp", "run"] {
            self.archive.directory(mount_point);
        }
        // The first process has its output here, before anything is mounted.
        self.archive.device("dev/console", 5, 1);
        self.archive.symlink(
            "usr/lib64/ld-linux-x86-64.so.2",
            Path::new("/").join(LIBRARIES).join("ld-linux-x86-64.so.2"),
        );
        let shell = self.newer.join("usr/bin/dash");
        self.elf(Path::new("usr/bin/sh"), &shell)?;
        for name in PROGRAMS {
            let inside = Path::new("usr/bin").join(name);
            let source = resolve(&self.newer, &inside)?;
            self.elf(&inside, &source)?;
        }
        Ok(())
    }

    /// The executable, what is shared of it, and its standard library.
    fn interpreter(&mut self, interpreter: &Interpreter) -> Result<()> {
        let host = &interpreter.host_root;
        let executable = &interpreter.executable;
        self.elf(executable, &resolve(host, executable)?)?;
        let prefix = executable.ancestors().nth(2).context("no prefix")?;
        let library = prefix.join("lib");
        let own_libraries = fs::read_dir(below(host, &library))?.flatten();
        for entry in own_libraries {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("libpython") && entry.path().is_file() {
                let inside = library.join(&name);
                self.elf(&inside, &entry.path())?;
            }
        }
        let standard = library.join(format!("python{}", interpreter.version));
        self.tree(&standard, &below(host, &standard))
    }

    /// A directory with all that is in it, but for what nobody imports.
    fn tree(&mut self, inside: &Path, source: &Path) -> Result<()> {
        self.archive.directory(inside);
        let entries =
            fs::read_dir(source).with_context(|| format!("cannot read {}", source.display()))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let left_out = LEFT_OUT.iter().any(|one| *one == text) || text.starts_with("config-");
            let (inside, source) = (inside.join(&name), entry.path());
            if left_out {
                continue;
            }
            // Broken links, and links that point out of another root, are of no use to a program either.
            match fs::metadata(&source) {
                Ok(meta) if meta.is_dir() => self.tree(&inside, &source)?,
                Ok(meta) if meta.is_file() => self.elf(&inside, &source)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A file, and the libraries that it wants where it is an ELF file.
    fn elf(&mut self, inside: &Path, source: &Path) -> Result<()> {
        self.archive.copy(inside, source);
        let mut magic = [0; 4];
        let is_elf = File::open(source)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic))
            .is_ok_and(|()| magic == *b"\x7fELF");
        if !is_elf {
            return Ok(());
        }
        for name in libraries::needed(source)? {
            self.library(&name)?;
        }
        Ok(())
    }

    /// A library, under the name by which the linker looks for it. What neither system has is left out: it
    /// is of an extension module then, or lies beside the program.
    fn library(&mut self, name: &str) -> Result<()> {
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let inside = Path::new(LIBRARIES).join(name);
        let found = [self.newer.as_path(), Path::new("/")]
            .iter()
            .find_map(|root| resolve(root, &inside).ok());
        match found {
            Some(source) => self.elf(&inside, &source),
            None => Ok(()),
        }
    }
}

fn below(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

/// The file of a root file system, links followed inside of it (absolute ones as seen from inside).
fn resolve(root: &Path, inside: &Path) -> Result<PathBuf> {
    let mut path = below(root, inside);
    for _ in 0..16 {
        match fs::read_link(&path) {
            Ok(target) if target.is_absolute() => path = below(root, &target),
            Ok(target) => path = path.parent().unwrap_or(root).join(target),
            Err(_) => break,
        }
    }
    anyhow::ensure!(path.is_file(), "no {}", path.display());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::resolve;

    /// Links are followed inside of a root, absolute ones too, and a loop of links ends.
    #[test]
    fn links_stay_inside_of_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin/real"), "").unwrap();
        symlink("/usr/bin/real", root.path().join("usr/bin/absolute")).unwrap();
        symlink("absolute", root.path().join("usr/bin/relative")).unwrap();
        symlink("loop", root.path().join("usr/bin/loop")).unwrap();
        let found = resolve(root.path(), Path::new("/usr/bin/relative")).unwrap();
        assert_eq!(found, root.path().join("usr/bin/real"));
        assert!(resolve(root.path(), Path::new("/usr/bin/loop")).is_err());
    }
}
