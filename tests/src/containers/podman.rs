//! Containers of Podman's, apart from those of whoever uses this machine.

use std::{
    env, fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{Container, eventually, root};
use crate::{
    cgroups::{self, Cgroup},
    environment,
    interpreters::Interpreter,
    target::Target,
};

/// Where its API is expected.
const SOCKET: &str = "/run/podman/podman.sock";
/// Above the cgroups of the containers.
const CGROUP: &str = "pyprof-ebpf-tests";
/// Whatever becomes of the test, a container ends by itself: in seconds.
const LONGEST_LIFE: &str = "300";

/// Podman with a store of its own, and its API where no other has that place. All containers end and
/// everything is removed when this is dropped.
#[derive(Debug)]
pub struct Podman {
    state: PathBuf,
    service: Option<Child>,
}

impl Podman {
    /// Begins with nothing, and tries out that a container runs.
    ///
    /// # Errors
    /// Why Podman cannot run containers here.
    pub fn new(interpreter: &Interpreter) -> Result<Self> {
        let mut podman = Self {
            // Tests take turns: what lies there was left behind by one that was killed.
            state: env::temp_dir().join("pyprof-ebpf-podman"),
            service: None,
        };
        podman.remove();
        let trial = podman
            .run("trial", interpreter)?
            .arg("/bin/true")
            .stdin(Stdio::null())
            .output()
            .context("podman is not installed")?;
        ensure!(
            trial.status.success(),
            "{}",
            String::from_utf8_lossy(&trial.stderr).trim()
        );
        if UnixStream::connect(SOCKET).is_err() {
            podman.serve()?;
        }
        Ok(podman)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        // The plainest of each: other storage drivers and crun want more of kernel and mounts than some
        // machines have, and systemd need not run.
        for (option, part) in [
            ("--root", "root"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
        ] {
            command.arg(option).arg(self.state.join(part));
        }
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        command.args(["--runtime", "runc", "--events-backend", "none"]);
        command
    }

    /// `podman run` up to the root file system: an overlay over the interpreter's, which stays as it is.
    fn run(&self, name: &str, interpreter: &Interpreter) -> Result<Command> {
        let mut command = self.command();
        command
            .args(["run", "--rm", "--name", name, "--network", "none"])
            .args(["--log-driver", "none", "--timeout", LONGEST_LIFE])
            // Raising limits takes CAP_SYS_RESOURCE, which this machine may withhold.
            .args([
                "--ulimit",
                "nofile=1024:1024",
                "--ulimit",
                "nproc=4096:4096",
            ])
            .args([
                "--env",
                "PYTHONDONTWRITEBYTECODE=1",
                "--env",
                "PYTHONUNBUFFERED=1",
            ])
            .args(["--cgroup-parent", &format!("/{CGROUP}")])
            .arg("--rootfs")
            .arg(format!("{}:O", root(interpreter)?));
        Ok(command)
    }

    fn serve(&mut self) -> Result<()> {
        fs::create_dir_all(Path::new(SOCKET).parent().context("no directory")?)?;
        let mut command = self.command();
        command
            .args(["system", "service", "--time", LONGEST_LIFE])
            .arg(format!("unix://{SOCKET}"))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        self.service = Some(command.spawn()?);
        eventually(|| Ok(UnixStream::connect(SOCKET).ok().map(drop)))
    }

    /// As [`super::Host::start`].
    ///
    /// # Errors
    /// Where the program does not get ready.
    pub fn start(
        &mut self,
        name: &str,
        interpreter: &Interpreter,
        program: &str,
        arguments: &[&str],
    ) -> Result<Container> {
        let program = interpreter.provide(&environment::programs())?.join(program);
        let mut command = self.run(name, interpreter)?;
        command
            .arg(&interpreter.executable)
            .arg(program)
            .args(arguments);
        let target = Target::of(&mut command, &format!("{name}, in Podman"))?.ready()?;
        let inspected = self
            .command()
            .args(["inspect", "--format", "{{.Id}} {{.State.Pid}}", name])
            .output()?;
        let inspected = String::from_utf8(inspected.stdout)?;
        let (id, pid) = inspected
            .trim()
            .split_once(' ')
            .with_context(|| format!("podman inspect says {inspected:?}"))?;
        Ok(Container {
            id: id.to_owned(),
            name: self.service.is_some().then(|| name.to_owned()),
            runtime: "podman",
            pid: pid.parse()?,
            target,
        })
    }

    /// As [`super::Host::end`].
    ///
    /// # Errors
    /// Where Podman cannot.
    pub fn end(&mut self, container: &Container) -> Result<()> {
        let removed = self
            .command()
            .args(["rm", "--force", "--time", "0", &container.id])
            .output()?;
        ensure!(
            removed.status.success(),
            "{}",
            String::from_utf8_lossy(&removed.stderr)
        );
        Ok(())
    }

    fn remove(&mut self) {
        if let Some(mut service) = self.service.take() {
            // A child that is not waited for keeps its id: this hits no other process.
            let _ = service.kill();
            let _ = service.wait();
            let _ = fs::remove_file(SOCKET);
            // Only where nobody else put something there.
            let _ = Path::new(SOCKET).parent().map(fs::remove_dir);
        }
        if self.state.exists() {
            let _ = self
                .command()
                .args(["rm", "--all", "--force", "--time", "0"])
                .output();
            // Each container's monitor tidies up after it, with the same store, and ends a moment later.
            for _ in 0..200 {
                if !self.is_used() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
            let _ = fs::remove_dir_all(&self.state);
        }
        // What the monitors of its containers leave behind.
        for hierarchy in cgroups::hierarchies() {
            if hierarchy.root.join(CGROUP).exists() {
                drop(Cgroup::new(&hierarchy.root, &format!("/{CGROUP}/conmon")));
            }
        }
    }

    /// Whether some process has this store on its command line.
    fn is_used(&self) -> bool {
        let state = self.state.as_os_str().as_encoded_bytes();
        let mut processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes.any(|entry| {
            fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| line.windows(state.len()).any(|window| window == state))
        })
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.remove();
    }
}
