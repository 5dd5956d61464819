//! The users of this host.
//!
//! Names are turned into numbers once, at the start, and a directory service may be asked for them. What is read for
//! each process comes from /etc/passwd alone: a service may be slow, and may know too many to list.

use std::{fs, sync::LazyLock};

use nix::unistd::User;

/// A line of /etc/passwd.
#[derive(Debug)]
struct Entry {
    name: String,
    uid: u32,
    home: Option<String>,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    entries(&String::from_utf8_lossy(
        &fs::read("/etc/passwd").unwrap_or_default(),
    ))
});

/// Lines `name:password:uid:gid:comment:home:shell`, passwd(5).
fn entries(passwd: &str) -> Vec<Entry> {
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?, fields.nth(1)?);
            Some(Entry {
                name: name.to_owned(),
                uid: uid.parse().ok()?,
                home: fields.nth(2).map(str::to_owned),
            })
        })
        .collect()
}

/// The first entry of a user: it counts, as for getpwuid(3).
fn first(entries: &[Entry], uid: u32) -> Option<&Entry> {
    entries.iter().find(|entry| entry.uid == uid)
}

/// The number of a user, who is given by name or by number.
#[must_use]
pub fn id(text: &str) -> Option<u32> {
    // A name may consist of digits: it goes first, as for chown(1).
    match User::from_name(text) {
        Ok(Some(user)) => Some(user.uid.as_raw()),
        _ => text.parse().ok(),
    }
}

/// The name of a user of this host; the number where the host has no name for it.
#[must_use]
pub fn name(uid: u32) -> String {
    first(&ENTRIES, uid).map_or_else(|| uid.to_string(), |entry| entry.name.clone())
}

/// The home directory of a user of this host.
#[must_use]
pub fn home(uid: u32) -> Option<String> {
    first(&ENTRIES, uid)?.home.clone()
}

/// The names of this host's users.
#[must_use]
pub fn names() -> Vec<String> {
    ENTRIES.iter().map(|entry| entry.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes sure that users are known by name and number, and nobody else is.
    #[test]
    fn root_is_0() {
        assert_eq!(
            (id("root"), id("0"), id("4000000000")),
            (Some(0), Some(0), Some(4_000_000_000))
        );
        assert_eq!((id("nobody-of-this-name"), id("-1")), (None, None));
        assert!(names().contains(&"root".into()));
        assert_eq!((name(0), home(0)), ("root".into(), Some("/root".into())));
        assert_eq!(name(4_000_000_000), "4000000000");
    }

    /// Makes sure that a user is called by the first name that the host has for the number.
    #[test]
    fn the_first_name_counts() {
        let entries = entries(
            "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:\n+::::::\nbroken\nweb:x:33:33::/srv:\n",
        );
        assert_eq!(entries.len(), 3);
        assert_eq!(first(&entries, 0).map(|entry| &*entry.name), Some("root"));
        let web = first(&entries, 33).expect("a user");
        assert_eq!((&*web.name, web.home.as_deref()), ("web", Some("/srv")));
    }

    proptest! {
        /// Makes sure that no text makes the parser panic.
        #[test]
        fn any_text_is_taken(text in any::<String>(), fields in "[a-z0-9:\n]{0,60}") {
            let _ = (entries(&text), entries(&fields));
        }
    }
}
