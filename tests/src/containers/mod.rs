//! Programs of `tests/programs` in containers: Podman's where it runs, else the same namespaces and a cgroup of
//! such a name made by hand.

mod by_hand;
mod podman;

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    environment::PATIENCE,
    interpreters::{self, Interpreter},
    target::Target,
};

pub use self::{by_hand::ByHand, podman::Podman};

/// A running program and the container that it is in. What keeps the container alive is [`Host`].
#[derive(Debug)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// The name by which an API knows it, where one answers.
    pub name: Option<String>,
    /// What made it, as the profiler calls that.
    pub runtime: &'static str,
    /// The program's process id on the host.
    pub pid: u32,
    /// The program, with what it said of itself: its `pid` is the one that it has in the container.
    pub target: Target,
}

impl Container {
    /// How a person calls it: by name, or by the beginning of its id.
    #[must_use]
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id[..12])
    }
}

/// What runs containers here.
#[derive(Debug)]
pub enum Host {
    /// The real thing.
    Podman(Podman),
    /// The kernel's part of it.
    ByHand(ByHand),
}

impl Host {
    /// Podman where it can run a container here; where it cannot, says why.
    #[must_use]
    pub fn find(interpreter: &Interpreter) -> Self {
        match Podman::new(interpreter) {
            Ok(podman) => Self::Podman(podman),
            Err(error) => {
                println!(
                    "Podman cannot run here, namespaces and cgroup are made by hand: {error:#}"
                );
                Self::ByHand(ByHand::default())
            }
        }
    }

    /// Starts a program in a container of this name and waits until it is ready.
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
        match self {
            Self::Podman(podman) => podman.start(name, interpreter, program, arguments),
            Self::ByHand(by_hand) => by_hand.start(name, interpreter, program, arguments),
        }
    }

    /// Ends a container: nothing of it is left then.
    ///
    /// # Errors
    /// Where that fails.
    pub fn end(&mut self, container: Container) -> Result<()> {
        match self {
            Self::Podman(podman) => podman.end(&container)?,
            Self::ByHand(by_hand) => by_hand.end(container),
        }
        Ok(())
    }
}

/// The interpreter that runs in containers: the newest release that has a root file system of its own.
///
/// # Errors
/// Where there is none under CI.
pub fn interpreter() -> Result<Option<Interpreter>> {
    Ok(interpreters::required()?
        .into_iter()
        .find(|one| one.root.is_some() && one.version == (3, 14)))
}

/// The root file system of an interpreter.
fn root(interpreter: &Interpreter) -> Result<&str> {
    let root = interpreter.root.as_deref().context("no root of its own")?;
    root.to_str().context("a root's path that is no text")
}

/// The only child of a process, once it has one.
fn child_of(pid: u32) -> Result<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    eventually(|| {
        let children = fs::read_to_string(&path).with_context(|| path.clone())?;
        let mut children = children.split_whitespace();
        Ok(match (children.next(), children.next()) {
            (Some(child), None) => Some(child.parse()?),
            _ => None,
        })
    })
}

/// What a question gives at last.
fn eventually<T>(mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let step = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        ensure!(waited < PATIENCE, "waited for nothing");
        thread::sleep(step);
        waited += step;
    }
}
