//! What there is on this host that a term might have meant, to be told where it matches nothing.

use std::collections::BTreeSet;

use super::{container_names::ContainerNames, subject::FromProc, term::Kind};
use crate::host::{containers::short, hierarchies::Hierarchies, labels::Labels, users};

/// How many users, and how many names of processes, are kept.
const MOST_NAMES: usize = 1000;

/// Users and names of the processes that were looked at.
#[derive(Debug, Default)]
pub struct Seen {
    users: BTreeSet<u32>,
    comms: BTreeSet<String>,
}

impl Seen {
    /// Remembers a process.
    pub fn note(&mut self, subject: &FromProc<'_>) {
        if let Some(user) = subject.user
            && self.users.len() < MOST_NAMES
        {
            self.users.insert(user);
        }
        if let Some(comm) = &subject.comm
            && self.comms.len() < MOST_NAMES
        {
            self.comms.insert(comm.clone());
        }
    }

    /// What there is of a kind: processes that were looked at, or cgroups as they are now.
    pub fn names(
        &self,
        kind: Kind,
        hierarchies: &Hierarchies,
        containers: &ContainerNames,
    ) -> Vec<String> {
        match kind {
            Kind::User => self.users.iter().map(|&user| users::name(user)).collect(),
            Kind::Comm => self.comms.iter().cloned().collect(),
            Kind::Cgroup | Kind::Container | Kind::Unit => {
                let mut names = BTreeSet::new();
                for hierarchy in hierarchies.iter().filter(|one| one.key.is_some()) {
                    hierarchy.walk(|place| {
                        let labels = Labels::of_cgroup(&place.path);
                        names.extend(match kind {
                            Kind::Container => labels.container.map(|id| {
                                let name = containers.by_id.get(&id).map(String::as_str);
                                name.unwrap_or(short(&id)).to_owned()
                            }),
                            Kind::Unit => labels.unit,
                            _ => Some(place.path.clone()),
                        });
                        true
                    });
                }
                names.into_iter().collect()
            }
        }
    }
}
