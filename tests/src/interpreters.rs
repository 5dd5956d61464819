//! The interpreters that the tests profile: those that `cargo xtask setup` provides.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// The versions that pyenv provides: shared libpython with symbols and headers.
pub const PYENV_VERSIONS: &[&str] = &[
    "3.6.15", "3.7.16", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0",
];

/// The versions in Debian's next release, in a root file system of their own.
pub const ROOT_VERSIONS: &[&str] = &["3.13", "3.14", "3.15"];

/// One interpreter under test.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// How the tests call it: `3.8.18`, `debian-3.11`, `forky-3.14`.
    pub name: String,
    /// (3, minor).
    pub version: (u32, u32),
    /// The executable, as seen inside `root` where there is one.
    pub executable: PathBuf,
    /// The root file system that it runs in, entered by chroot.
    pub root: Option<PathBuf>,
}

impl Interpreter {
    /// A command that runs this interpreter; add its arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        match &self.root {
            None => Command::new(&self.executable),
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(&self.executable);
                command
            }
        }
    }

    /// Makes a host file or directory visible to the interpreter and returns the path by which it sees it. A
    /// file that is already there as it should be is left alone: a process may be reading it.
    ///
    /// # Errors
    /// Where the copy into the root file system fails.
    pub fn provide(&self, host_path: &Path) -> Result<PathBuf> {
        let Some(root) = &self.root else {
            return Ok(host_path.to_owned());
        };
        let inside = Path::new("/").join(host_path.strip_prefix("/").unwrap_or(host_path));
        copy(host_path, &root.join(inside.strip_prefix("/")?)).with_context(|| {
            format!(
                "cannot copy {} into {}",
                host_path.display(),
                root.display()
            )
        })?;
        Ok(inside)
    }
}

/// Copies a file or a tree; files appear at once, whole.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let wanted = fs::read(from)?;
    if fs::read(to).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    let parent = to.parent().context("no parent directory")?;
    fs::create_dir_all(parent)?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(&wanted)?;
    file.as_file()
        .set_permissions(fs::metadata(from)?.permissions())?;
    file.persist(to)?;
    Ok(())
}

/// Where set-up keeps what it builds and fetches.
#[must_use]
pub fn cache_directory() -> PathBuf {
    env::var_os("PYPROF_CACHE").map_or_else(
        || {
            env::var_os("XDG_CACHE_HOME")
                .map_or_else(
                    || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"),
                    PathBuf::from,
                )
                .join("pyprof-ebpf")
        },
        PathBuf::from,
    )
}

/// Every interpreter that is there.
#[must_use]
pub fn available() -> Vec<Interpreter> {
    expected().into_iter().filter(exists).collect()
}

/// Every interpreter that the tests want: the list `name=path,name=path` in `PYPROF_TEST_INTERPRETERS` where
/// that is set, as inside a virtual machine. A name ends with the version: `3.8.18`, `forky-3.14`.
#[must_use]
pub fn expected() -> Vec<Interpreter> {
    if let Some(list) = env::var_os("PYPROF_TEST_INTERPRETERS") {
        return listed(&list.to_string_lossy());
    }
    let pyenv = pyenv();
    let mut all: Vec<Interpreter> = PYENV_VERSIONS
        .iter()
        .map(|name| {
            let minor = minor(name);
            Interpreter {
                name: (*name).to_owned(),
                version: (3, minor),
                executable: pyenv.join(format!("versions/{name}/bin/python3.{minor}")),
                root: None,
            }
        })
        .collect();
    all.push(Interpreter {
        name: "debian-3.11".into(),
        version: (3, 11),
        executable: "/usr/bin/python3.11".into(),
        root: None,
    });
    let root = cache_directory().join("roots/forky");
    all.extend(ROOT_VERSIONS.iter().map(|version| Interpreter {
        name: format!("forky-{version}"),
        version: (3, minor(version)),
        executable: format!("/usr/bin/python{version}").into(),
        root: Some(root.clone()),
    }));
    all
}

/// Builds that are not like those that [`expected`] lists: without the GIL, for debugging, linked with musl.
#[must_use]
pub fn builds() -> Vec<Interpreter> {
    let build = |directory: &str, executable: &str| Interpreter {
        name: directory.to_owned(),
        version: (3, minor(executable)),
        executable: cache_directory()
            .join("interpreters")
            .join(directory)
            .join("bin")
            .join(executable),
        root: None,
    };
    vec![
        build("3.13t", "python3.13"),
        build("3.14t", "python3.14"),
        build("3.15t", "python3.15"),
        build("3.14-musl", "python3.14"),
        Interpreter {
            name: "3.14-musl-static".into(),
            ..build("3.14-musl", "python3.14-static")
        },
        Interpreter {
            name: "forky-3.14-debug".into(),
            version: (3, 14),
            executable: "/usr/bin/python3.14d".into(),
            root: Some(cache_directory().join("roots/forky")),
        },
    ]
}

/// Interpreters that the profiler has to refuse.
#[must_use]
pub fn refused() -> Vec<Interpreter> {
    vec![Interpreter {
        name: "2.7.18".into(),
        version: (2, 7),
        executable: pyenv().join("versions/2.7.18/bin/python2.7"),
        root: None,
    }]
}

fn pyenv() -> PathBuf {
    env::var_os("PYENV_ROOT").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".pyenv"),
        PathBuf::from,
    )
}

fn listed(list: &str) -> Vec<Interpreter> {
    list.split(',')
        .filter_map(|item| item.split_once('='))
        .map(|(name, path)| Interpreter {
            name: name.to_owned(),
            version: (3, minor(name.rsplit('-').next().unwrap_or(name))),
            executable: path.into(),
            root: None,
        })
        .collect()
}

fn exists(interpreter: &Interpreter) -> bool {
    match &interpreter.root {
        None => interpreter.executable.exists(),
        Some(root) => root
            .join(
                interpreter
                    .executable
                    .strip_prefix("/")
                    .unwrap_or(&interpreter.executable),
            )
            .exists(),
    }
}

fn minor(version: &str) -> u32 {
    version
        .split('.')
        .nth(1)
        .and_then(|part| part.parse().ok())
        .unwrap_or(0)
}

/// Every interpreter that is there, after a check that none is missing where that must not be: under CI.
///
/// # Errors
/// Names what is missing, under CI.
pub fn required() -> Result<Vec<Interpreter>> {
    present_of(expected())
}

/// Every one of [`builds`] that is there, after the same check as [`required`] makes.
///
/// # Errors
/// Names what is missing, under CI.
pub fn required_builds() -> Result<Vec<Interpreter>> {
    present_of(builds())
}

/// The first that [`required`] has: the oldest.
///
/// # Errors
/// As [`required`].
pub fn first() -> Result<Interpreter> {
    required()?.into_iter().next().context("no interpreter")
}

/// The last that [`required`] has: the newest.
///
/// # Errors
/// As [`required`].
pub fn last() -> Result<Interpreter> {
    required()?
        .into_iter()
        .next_back()
        .context("no interpreter")
}

/// The one of [`required`] that is called so.
///
/// # Errors
/// Where there is none, or as [`required`].
pub fn named(name: &str) -> Result<Interpreter> {
    required()?
        .into_iter()
        .find(|one| one.name == name)
        .with_context(|| format!("no interpreter {name}"))
}

/// The last that [`required`] has of those that run in the host's own root file system.
///
/// # Errors
/// Where there is none, or as [`required`].
pub fn of_host() -> Result<Interpreter> {
    let mut all = required()?.into_iter();
    all.rfind(|one| one.root.is_none())
        .context("no interpreter of the host's")
}

fn present_of(wanted: Vec<Interpreter>) -> Result<Vec<Interpreter>> {
    let missing: Vec<String> = wanted
        .iter()
        .filter(|one| !exists(one))
        .map(|one| one.name.clone())
        .collect();
    if env::var_os("CI").is_some() {
        anyhow::ensure!(
            missing.is_empty(),
            "missing interpreters: {}",
            missing.join(", ")
        );
    } else if !missing.is_empty() {
        eprintln!(
            "skipped for want of interpreters (cargo xtask setup provides them): {}",
            missing.join(", ")
        );
    }
    let found: Vec<Interpreter> = wanted.into_iter().filter(exists).collect();
    (!found.is_empty())
        .then_some(found)
        .context("no interpreter to test with: run cargo xtask setup")
}
