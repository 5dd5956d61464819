//! Containers without a runtime: what the kernel knows of a container is namespaces and cgroups.

use std::process::Command;

use anyhow::Result;

use super::{Container, child_of, root};
use crate::{
    cgroups::{self, Cgroup},
    interpreters::Interpreter,
    target::Target,
};

/// Containers made by hand: user, PID, mount and cgroup namespaces of their own, the PID namespace inside of
/// another, and a cgroup like Docker's.
#[derive(Debug, Default)]
pub struct ByHand {
    cgroups: Vec<Cgroup>,
}

impl ByHand {
    /// As [`super::Host::start`]. No API knows the name.
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
        let program = interpreter
            .provide(&crate::environment::programs())?
            .join(program);
        let id = id(name);
        let cgroup = Cgroup::new(&cgroups::any_root()?, &format!("/docker/{id}"))?;
        let [shell, words @ ..] = cgroup.enter();
        let mut command = Command::new(shell);
        command
            .args(words)
            .args(["unshare", "--pid", "--fork", "--kill-child"])
            .args(["unshare", "--user", "--map-root-user"])
            .args(["--pid", "--fork", "--kill-child", "--mount", "--cgroup"])
            .arg(format!("--root={}", root(interpreter)?))
            .arg(&interpreter.executable)
            .arg(program)
            .args(arguments)
            .envs([("PYTHONDONTWRITEBYTECODE", "1"), ("PYTHONUNBUFFERED", "1")]);
        self.cgroups.push(cgroup);
        let target = Target::of(&mut command, &format!("{name}, by hand"))?.ready()?;
        Ok(Container {
            id,
            name: None,
            runtime: "docker",
            pid: child_of(child_of(target.pid())?)?,
            target,
        })
    }

    /// As [`super::Host::end`]; what is left is removed at the end of all.
    pub fn end(&mut self, container: Container) {
        drop(container.target);
        self.cgroups
            .retain(|cgroup| !cgroup.path.ends_with(&container.id));
    }
}

/// 64 hexadecimal digits that another name does not have.
fn id(name: &str) -> String {
    let mut digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(64);
    format!("{digits:f<64}")
}
