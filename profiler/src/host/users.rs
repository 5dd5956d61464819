//! Users by name and number.

use nix::unistd::{Uid, User};

/// The number of a user, who is given by name or by number.
#[must_use]
pub fn id(text: &str) -> Option<u32> {
    // A name may consist of digits: it goes first, as for chown(1).
    match User::from_name(text) {
        Ok(Some(user)) => Some(user.uid.as_raw()),
        _ => text.parse().ok(),
    }
}

/// The name of a user, or the number where it has none.
#[must_use]
pub fn name(id: u32) -> String {
    match User::from_uid(Uid::from_raw(id)) {
        Ok(Some(user)) => user.name,
        _ => id.to_string(),
    }
}

/// The names in /etc/passwd: those of a directory service may be too many to list.
#[must_use]
pub fn names() -> Vec<String> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that users are known by name and number, and nobody else is.
    #[test]
    fn root_is_0() {
        assert_eq!(
            (id("root"), id("0"), id("4000000000")),
            (Some(0), Some(0), Some(4_000_000_000))
        );
        assert_eq!(
            (name(0), name(4_000_000_000)),
            ("root".into(), "4000000000".into())
        );
        assert_eq!((id("nobody-of-this-name"), id("-1")), (None, None));
        assert!(names().contains(&"root".into()));
    }
}
