//! What a person asks for, one flag at a time.

use std::fmt;

/// What a term is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A cgroup, and all below it.
    Cgroup,
    /// A container, by name or id.
    Container,
    /// A systemd unit.
    Unit,
    /// A user.
    User,
    /// The kernel's name of a process.
    Comm,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Cgroup,
        Self::Container,
        Self::Unit,
        Self::User,
        Self::Comm,
    ];

    /// Whether it says where processes run.
    #[must_use]
    pub const fn is_place(self) -> bool {
        matches!(self, Self::Cgroup | Self::Container | Self::Unit)
    }

    /// The flag, without dashes.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Container => "container",
            Self::Unit => "unit",
            Self::User => "user",
            Self::Comm => "comm",
        }
    }
}

/// One flag with its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// What it is about.
    pub kind: Kind,
    /// Whether it is to be left out.
    pub exclude: bool,
    /// The value as typed.
    pub text: String,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exclude = if self.exclude { "exclude-" } else { "" };
        write!(f, "--{exclude}{} {}", self.kind.flag(), self.text)
    }
}
