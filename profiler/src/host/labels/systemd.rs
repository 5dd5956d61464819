//! How systemd names cgroups.

/// What a name says to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit<'a> {
    /// `system.slice`
    Slice(&'a str),
    /// A unit that runs something: `nginx.service`, or a socket, mount or swap in its helper processes.
    Service(&'a str),
    /// A group of processes that somebody else started: `run-u42.scope`.
    Scope(&'a str),
    /// A login (`session-3.scope`) or where a manager itself runs (`init.scope`): nobody knows these by name.
    Nameless,
}

/// systemd's UNIT_NAME_MAX counts the byte at the end too (src/basic/unit-name.h).
const LONGEST: usize = 255;

/// The unit that a cgroup's name stands for.
pub(super) fn unit(name: &str) -> Option<Unit<'_>> {
    // A name that the kernel might take for one of its own files is marked so (cg_escape).
    let name = name.strip_prefix('_').unwrap_or(name);
    let (stem, kind) = name.rsplit_once('.')?;
    // VALID_CHARS_WITH_AT in src/basic/unit-name.c
    let is_valid = !stem.is_empty()
        && name.len() <= LONGEST
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || br":-_.\@".contains(&byte));
    if !is_valid {
        return None;
    }
    match kind {
        "slice" => Some(Unit::Slice(name)),
        "service" | "socket" | "mount" | "swap" => Some(Unit::Service(name)),
        "scope" if stem == "init" || is_session(stem) => Some(Unit::Nameless),
        "scope" => Some(Unit::Scope(name)),
        _ => None,
    }
}

/// logind numbers sessions, with a letter before where the kernel's audit did not (`c1`).
fn is_session(stem: &str) -> bool {
    stem.strip_prefix("session-").is_some_and(|id| {
        let digits = id.strip_prefix('c').unwrap_or(id);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Undoes `\x2d` and its like; `-` stays, since what it stands for, `/`, is in no machine's name.
pub(super) fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        match hex_escape(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_escape(bytes: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = *bytes else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
