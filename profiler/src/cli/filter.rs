//! The flags that say which Python processes are wanted by where they run, as whom, and under which name.

use clap::Args;

use crate::recording::selection::term::{Kind, Term};

/// The flags, as typed.
#[derive(Args, Clone, Debug, Default)]
pub struct FilterFlags {
    /// Python processes in this cgroup and below it: /system.slice, or a directory
    #[arg(long, value_name = "PATH", help_heading = "Target")]
    pub cgroup: Vec<String>,

    /// Python processes in this container: its name, `web-*`, or the beginning of its id
    #[arg(long, value_name = "NAME-OR-ID", help_heading = "Target")]
    pub container: Vec<String>,

    /// Python processes in this systemd unit: shop.service, shop, or a slice
    #[arg(long, value_name = "UNIT", help_heading = "Target")]
    pub unit: Vec<String>,

    /// Only processes of this user, by name or number (the effective user, as ps shows it)
    #[arg(long, value_name = "USER", help_heading = "Filters")]
    pub user: Vec<String>,

    /// Only processes of this name, as ps -o comm shows it: `gunicorn`, `celery*`, `python3.1?`
    #[arg(long, value_name = "PATTERN", help_heading = "Filters")]
    pub comm: Vec<String>,

    /// Nothing in this cgroup or below it
    #[arg(long, value_name = "PATH", help_heading = "Filters")]
    pub exclude_cgroup: Vec<String>,

    /// Nothing in this container
    #[arg(long, value_name = "NAME-OR-ID", help_heading = "Filters")]
    pub exclude_container: Vec<String>,

    /// Nothing in this systemd unit
    #[arg(long, value_name = "UNIT", help_heading = "Filters")]
    pub exclude_unit: Vec<String>,

    /// No process of this user
    #[arg(long, value_name = "USER", help_heading = "Filters")]
    pub exclude_user: Vec<String>,

    /// No process of this name
    #[arg(long, value_name = "PATTERN", help_heading = "Filters")]
    pub exclude_comm: Vec<String>,
}

impl FilterFlags {
    /// The terms that they stand for.
    #[must_use]
    pub fn terms(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        for kind in Kind::ALL {
            let (include, exclude) = match kind {
                Kind::Cgroup => (&self.cgroup, &self.exclude_cgroup),
                Kind::Container => (&self.container, &self.exclude_container),
                Kind::Unit => (&self.unit, &self.exclude_unit),
                Kind::User => (&self.user, &self.exclude_user),
                Kind::Comm => (&self.comm, &self.exclude_comm),
            };
            for (texts, exclude) in [(include, false), (exclude, true)] {
                terms.extend(texts.iter().map(|text| Term {
                    kind,
                    exclude,
                    text: text.clone(),
                }));
            }
        }
        terms
    }
}
