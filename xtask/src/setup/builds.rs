//! Builds of CPython that Debian does not package: without the GIL, and against musl, shared and static.
//!
//! They are made from the source archives of Debian's pool, with as little as the tests want: no extension modules but
//! those that are linked in, no installation step, one level of optimisation. One takes a minute on two CPUs.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, bail};

use super::{Component, Obstacle, apt};
use crate::{paths, shell};

/// A source archive. It goes from the pool when Debian goes on, and stays at python.org.
struct Source {
    /// Modules that only this version has, of those that the programs use.
    modules: &'static str,
    /// As Debian names it.
    version: &'static str,
    sha256: &'static str,
}

impl Source {
    /// `3.15.0rc2`: as CPython names it.
    fn upstream(&self) -> String {
        self.version.replace('~', "")
    }

    /// `3.15`.
    fn minor(&self) -> &'static str {
        let end = self.version.rfind('.').unwrap_or(self.version.len());
        &self.version[..end]
    }

    fn urls(&self) -> [String; 2] {
        let (minor, upstream) = (self.minor(), self.upstream());
        // The directory bears the release, without rc2 and the like.
        let release = self.version.split('~').next().unwrap_or(self.version);
        [
            format!(
                "{}/pool/main/p/python{minor}/python{minor}_{}.orig.tar.xz",
                apt::mirror(),
                self.version
            ),
            format!("https://www.python.org/ftp/python/{release}/Python-{upstream}.tar.xz"),
        ]
    }
}

const V3_13: Source = Source {
    modules: "",
    version: "3.13.15",
    sha256: "1e66a7945a48390ee4c2a4268a0e4185884059a13c4aab6d148aa208deea4a76",
};
const V3_14: Source = Source {
    modules: "",
    version: "3.14.7",
    sha256: "3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81",
};
const V3_15: Source = Source {
    modules: "_math_integer mathintegermodule.c\n",
    version: "3.15.0~rc2",
    sha256: "8d93af5eaaaea5adfd41bd786a7ba3f03f2ad1ab57c6a65e0b963deab91d5ad7",
};

/// One build.
struct Build {
    /// What its directory is called: `3.14t`.
    name: &'static str,
    source: Source,
    configure: &'static [&'static str],
    /// A compiler other than the default, as a shell script.
    compiler: Option<&'static str>,
    /// What it appends to the library's directory: `t` without the GIL.
    suffix: &'static str,
    /// Whether the executable is linked a second time, without any shared library and without symbols.
    also_static: bool,
}

const BUILDS: &[Build] = &[
    Build {
        name: "3.13t",
        source: V3_13,
        configure: &["--disable-gil"],
        compiler: None,
        suffix: "t",
        also_static: false,
    },
    Build {
        name: "3.14t",
        source: V3_14,
        configure: &["--disable-gil"],
        compiler: None,
        suffix: "t",
        also_static: false,
    },
    Build {
        name: "3.15t",
        source: V3_15,
        configure: &["--disable-gil"],
        compiler: None,
        suffix: "t",
        also_static: false,
    },
    Build {
        name: "3.14-musl",
        source: V3_14,
        configure: &["CC=./compiler"],
        compiler: Some(MUSL),
        suffix: "",
        also_static: true,
    },
];

/// musl-gcc, that does not speak of the host's libc: configure wants both its answers to agree.
const MUSL: &str = "\
#!/bin/sh
case $1 in --print-multiarch) exec echo x86_64-linux-musl ;; esac
exec musl-gcc \"$@\"
";

/// The extension modules that the profiled programs use, linked in: Modules/Setup's syntax.
const MODULES: &str = "\
*static*
array arraymodule.c
_bisect _bisectmodule.c
_heapq _heapqmodule.c
_interpchannels _interpchannelsmodule.c
_interpqueues _interpqueuesmodule.c
_interpreters _interpretersmodule.c
_opcode _opcode.c
_posixsubprocess _posixsubprocess.c
_queue _queuemodule.c
_random _randommodule.c
_sha2 sha2module.c -I$(srcdir)/Modules/_hacl/include Modules/_hacl/libHacl_Hash_SHA2.a
_socket socketmodule.c
_struct _struct.c
fcntl fcntlmodule.c
math mathmodule.c
resource resource.c
select selectmodule.c
";
/// What `_sha2` links: make does not know that the line above wants it.
const HASHES: &str = "Modules/_hacl/libHacl_Hash_SHA2.a";

/// All builds: one component, since two at a time take little longer than one.
pub struct Builds;

impl Component for Builds {
    fn name(&self) -> String {
        "builds of CPython".into()
    }

    fn why(&self) -> &'static str {
        "profiling it without the GIL and linked with musl"
    }

    fn missing(&self) -> Option<String> {
        let names: Vec<&str> = BUILDS
            .iter()
            .filter(|build| !build.is_complete())
            .map(|build| build.name)
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let wanted: Vec<&Build> = BUILDS.iter().filter(|build| !build.is_complete()).collect();
        // configure uses one CPU, and what make does last does so too: two at a time keep both busy.
        for pair in wanted.chunks(2) {
            thread::scope(|scope| {
                let running: Vec<_> = pair
                    .iter()
                    .map(|build| {
                        let log = log.with_file_name(format!("build-{}.log", build.name));
                        scope.spawn(move || build.make(&log).context(build.name))
                    })
                    .collect();
                running
                    .into_iter()
                    .map(|one| one.join().unwrap_or_else(|_| bail!("a build panicked")))
                    .collect::<Result<Vec<()>>>()
            })?;
        }
        Ok(())
    }
}

impl Build {
    fn directory(&self) -> PathBuf {
        paths::cache().join("interpreters").join(self.name)
    }

    /// Says what was built, and is written last: another build of that name is made again.
    fn marker(&self) -> PathBuf {
        self.directory().join("complete")
    }

    fn contents(&self) -> String {
        let source = &self.source;
        format!(
            "{} {:?}\n{MODULES}{}",
            source.version, self.configure, source.modules
        )
    }

    fn is_complete(&self) -> bool {
        fs::read_to_string(self.marker()).is_ok_and(|text| text == self.contents())
    }

    /// Fetches, builds, and puts the result into place when it is whole.
    fn make(&self, log: &Path) -> Result<()> {
        let minor = self.source.minor();
        fs::create_dir_all(paths::cache())?;
        let work = tempfile::tempdir_in(paths::cache())?;
        let source = self.unpack(work.path(), log)?;
        let objects = work.path().join("objects");
        fs::create_dir_all(objects.join("Modules"))?;
        fs::write(
            objects.join("Modules/Setup.local"),
            [MODULES, self.source.modules].concat(),
        )?;
        if let Some(script) = self.compiler {
            let compiler = objects.join("compiler");
            fs::write(&compiler, script)?;
            fs::set_permissions(&compiler, Permissions::from_mode(0o755))?;
        }
        let mut configure = Command::new(source.join("configure"));
        configure
            .args(["-q", "--without-ensurepip", "--disable-test-modules"])
            .args(["--without-doc-strings", "OPT=-DNDEBUG -O1 -fwrapv"])
            .args(self.configure)
            .current_dir(&objects);
        shell::run_logged(&mut configure, log)?;
        let make = |arguments: &[&str]| {
            let mut command = Command::new("make");
            command.arg("-j2").args(arguments).current_dir(&objects);
            shell::run_logged(&mut command, log)
        };
        make(&[HASHES])?;
        make(&["python"])?;

        // The smallest tree in which CPython finds its library (Modules/getpath.py).
        let whole = work.path().join("whole");
        let library = whole.join(format!("lib/python{minor}{}", self.suffix));
        fs::create_dir_all(whole.join("bin"))?;
        fs::create_dir_all(whole.join("lib"))?;
        let executable = whole.join(format!("bin/python{minor}"));
        fs::rename(objects.join("python"), &executable)?;
        if self.also_static {
            make(&["python", "LDFLAGS=-static -s"])?;
            let executable = whole.join(format!("bin/python{minor}-static"));
            fs::rename(objects.join("python"), executable)?;
        }
        fs::rename(source.join("Lib"), &library)?;
        fs::create_dir(library.join("lib-dynload"))?;
        let directory = self.directory();
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent)?;
        }
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::rename(whole, &directory)?;
        fs::write(self.marker(), self.contents())?;
        Ok(())
    }

    /// Fetches the source and unpacks it without what is not needed; where it lies.
    fn unpack(&self, work: &Path, log: &Path) -> Result<PathBuf> {
        let archive = work.join("source.tar.xz");
        let sums = work.join("sums");
        fs::write(
            &sums,
            format!("{}  {}\n", self.source.sha256, archive.display()),
        )?;
        let mut failures = Vec::new();
        for url in self.source.urls() {
            let mut fetch = Command::new("curl");
            fetch
                .args(["-sSfL", "--retry", "3", "-o"])
                .arg(&archive)
                .arg(&url);
            let mut check = Command::new("sha256sum");
            check.args(["--check", "--quiet"]).arg(&sums);
            let fetched = shell::run_logged(&mut fetch, log)
                .and_then(|()| shell::run_logged(&mut check, log));
            match fetched {
                Ok(()) => {
                    let mut unpack = Command::new("tar");
                    unpack
                        .args(["--exclude=*/Lib/test", "--exclude=*/Lib/idlelib"])
                        .args(["--exclude=*/Doc", "-C"])
                        .arg(work)
                        .arg("-xf")
                        .arg(&archive);
                    shell::run_logged(&mut unpack, log)?;
                    return Ok(work.join(format!("Python-{}", self.source.upstream())));
                }
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        bail!("no source archive:\n{}", failures.join("\n"))
    }
}
