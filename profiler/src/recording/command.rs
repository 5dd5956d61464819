//! Launching the command that is to be profiled.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus},
};

use crate::host::caller::caller;

/// A command that was launched. It is never stopped or ended by the profiler.
#[derive(Debug)]
pub struct Launched {
    child: Child,
    status: Option<ExitStatus>,
}

impl Launched {
    /// Runs a command as the user who called sudo.
    ///
    /// # Errors
    /// Where the program cannot be executed, or the user not be changed to.
    pub fn launch(words: &[OsString]) -> io::Result<Self> {
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command"))?;
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(caller) = caller() {
            if let Some(home) = &caller.home {
                command.env("HOME", home);
            }
            for variable in ["USER", "LOGNAME"] {
                if let Some(name) = caller.name.as_ref().and_then(|name| name.to_str().ok()) {
                    command.env(variable, name);
                }
            }
            // SAFETY: between fork and exec only system calls are made, save initgroups, which reads the
            // group database; this program has no other thread that could hold a lock it needs.
            unsafe {
                command.pre_exec(move || {
                    let groups = caller
                        .name
                        .as_ref()
                        .map_or(0, |name| libc::initgroups(name.as_ptr(), caller.gid));
                    if groups != 0 || libc::setgid(caller.gid) != 0 || libc::setuid(caller.uid) != 0
                    {
                        return Err(io::Error::last_os_error());
                    }
                    Ok(())
                });
            }
        }
        Ok(Self {
            child: command.spawn()?,
            status: None,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap_or(None);
        }
        self.status.is_none()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        match self.status {
            Some(status) => Ok(status),
            None => self.child.wait(),
        }
    }
}
