//! Users by name.

use nix::unistd::User;

/// The number of a user, who is given by name or by number.
#[must_use]
pub fn id(text: &str) -> Option<u32> {
    // A name may consist of digits: it goes first, as for chown(1).
    match User::from_name(text) {
        Ok(Some(user)) => Some(user.uid.as_raw()),
        _ => text.parse().ok(),
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
        assert_eq!((id("nobody-of-this-name"), id("-1")), (None, None));
        assert!(names().contains(&"root".into()));
    }
}
