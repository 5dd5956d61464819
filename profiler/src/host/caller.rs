//! Who called: the user behind sudo.

use std::{env, ffi::CString, fs::File, io, os::unix::fs::fchown};

use super::users;

/// The user who called sudo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Login name, where sudo tells.
    pub name: Option<CString>,
    /// Home directory, where the user database tells.
    pub home: Option<String>,
}

/// The user behind sudo, if this runs as root through sudo.
#[must_use]
pub fn caller() -> Option<Caller> {
    // SAFETY: has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return None;
    }
    let number = |name| env::var(name).ok()?.parse().ok();
    let (uid, gid): (u32, u32) = (number("SUDO_UID")?, number("SUDO_GID")?);
    if uid == 0 {
        return None;
    }
    let name = env::var("SUDO_USER")
        .ok()
        .and_then(|name| CString::new(name).ok());
    Some(Caller {
        uid,
        gid,
        name,
        home: users::home(uid),
    })
}

/// Gives a file that this program has written to the user behind sudo.
///
/// # Errors
/// Where the file system refuses.
pub fn give_to_caller(file: &File) -> io::Result<()> {
    match caller() {
        Some(caller) => fchown(file, Some(caller.uid), Some(caller.gid)),
        None => Ok(()),
    }
}
