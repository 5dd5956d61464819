//! Which processes are wanted: what a person asked for, made into the filter that the kernel side decides by, and
//! kept up to date while cgroups and containers come.

mod active;
mod container_names;
mod mirror;
mod near;
pub mod pattern;
mod seen;
mod subject;
pub mod term;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
};

use profiler_common::{
    filter::{test, verdict},
    process::{NAMED, NAMES_CHILDREN},
    record::Cgroup,
};

pub use self::near::Unmatched;
use self::{
    active::{Active, Comparison},
    container_names::ContainerNames,
    mirror::Mirror,
    pattern::{CommPattern, ContainerPattern, Senseless, UnitPattern},
    seen::Seen,
    subject::FromProc,
    term::{Kind, Term},
};
use super::discovery::Scope;
use crate::{
    host::{
        containers::Names,
        hierarchies::{Hierarchies, Place},
        labels::Labels,
        users,
    },
    kernel::{KernelError, filter::FilterMaps},
};

/// The number of version 2 in /proc/PID/cgroup.
const V2: u32 = 0;

/// Why there can be no such selection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel side cannot tell who is in such a cgroup.
    #[error(
        "{path} is in the hierarchy {hierarchy}, which has no controller: name the cgroup of another hierarchy"
    )]
    NoController {
        /// The cgroup.
        path: String,
        /// Its hierarchy.
        hierarchy: String,
    },
    /// There is no user of this name.
    #[error("there is no user {}", .0.term.text)]
    NoUser(Unmatched),
    /// The host's cgroups cannot be listed.
    #[error("cannot read this host's cgroups: {0}")]
    Cgroups(#[from] io::Error),
    /// A value that can match nothing.
    #[error(transparent)]
    Senseless(#[from] Senseless),
}

/// What is wanted.
#[derive(Debug)]
pub struct Selection {
    terms: Vec<Active>,
    hierarchies: Hierarchies,
    /// What the kernel side is to decide by.
    mirror: Mirror,
    /// By term and what of it was found: the version 1 hierarchy that it was found in first. One is enough, since
    /// runtimes put a container into all of them alike, and each is one look more for the kernel side.
    first_found: HashMap<(usize, String), u32>,
    /// Processes asked for by their ids.
    named: Scope,
    /// Registrations of processes that matched when they were met.
    matching: HashSet<u64>,
    names: ContainerNames,
    seen: Seen,
}

impl Selection {
    /// Looks for what the terms mean on this host now. `named` is what is wanted besides, wherever it runs, `names`
    /// those of containers, and `subsystem` gives the kernel's numbers of controllers.
    ///
    /// # Errors
    /// Where a term cannot mean anything.
    pub fn new(
        terms: &[Term],
        named: Scope,
        names: Names,
        subsystem: impl Fn(&str) -> Option<u32>,
    ) -> Result<Self, Error> {
        pattern::check(terms)?;
        let mut selection = Self {
            terms: Vec::new(),
            hierarchies: Hierarchies::of_this_process(subsystem)?,
            mirror: Mirror::new(),
            first_found: HashMap::new(),
            named,
            matching: HashSet::new(),
            names: ContainerNames::new(&names),
            seen: Seen::default(),
        };
        if matches!(&selection.named, Scope::These { pids, .. } if !pids.is_empty()) {
            selection.mirror.test(test::NAMES_PROCESSES);
        }
        for term in terms {
            selection.add(term)?;
        }
        selection.look();
        Ok(selection)
    }

    fn add(&mut self, term: &Term) -> Result<(), Error> {
        let (bit, flags) = match (term.kind, term.exclude) {
            (Kind::User, false) => (verdict::INCLUDE, test::LOOKS_AT_USER | test::NEEDS_USER),
            (Kind::User, true) => (verdict::EXCLUDE, test::LOOKS_AT_USER),
            (Kind::Comm, false) => (verdict::INCLUDE, test::LOOKS_AT_COMM | test::NEEDS_COMM),
            (Kind::Comm, true) => (verdict::EXCLUDE, test::LOOKS_AT_COMM),
            (_, false) => (verdict::INCLUDE, test::NEEDS_PLACE),
            (_, true) => (verdict::EXCLUDE, test::EXCLUDES_PLACES),
        };
        self.mirror.test(flags);
        let comparison = match term.kind {
            Kind::Cgroup => Some(Comparison::Paths(self.paths(&term.text)?)),
            Kind::Container => ContainerPattern::new(&term.text).map(Comparison::Container),
            Kind::Unit => UnitPattern::new(&term.text).map(Comparison::Unit),
            Kind::User => {
                let user = users::id(&term.text)
                    .ok_or_else(|| Error::NoUser(Unmatched::new(term, users::names())))?;
                self.mirror.add_user(user, bit, &self.hierarchies);
                Some(Comparison::User(user))
            }
            Kind::Comm => {
                self.mirror.add_comm(&term.text, term.exclude);
                CommPattern::new(&term.text).map(Comparison::Comm)
            }
        };
        self.terms.push(Active {
            term: term.clone(),
            comparison: comparison.ok_or_else(|| Senseless::of(term, "it matches nothing"))?,
            has_matched: false,
        });
        Ok(())
    }

    /// Which cgroups a path may mean.
    fn paths(&self, text: &str) -> Result<Vec<(u32, String)>, Error> {
        // Checked before: it has no parts that lead up.
        let mut paths = self.hierarchies.read(text).unwrap_or_default();
        let hierarchy = |number| self.hierarchies.numbered(number);
        if let [(number, path)] = &paths[..]
            && let Some(hierarchy) = hierarchy(*number)
            && hierarchy.key.is_none()
        {
            return Err(Error::NoController {
                path: path.clone(),
                hierarchy: hierarchy.name(),
            });
        }
        paths.retain(|&(number, _)| hierarchy(number).is_some_and(|one| one.key.is_some()));
        Ok(paths)
    }

    /// Whether it takes news of cgroups that are made meanwhile.
    #[must_use]
    pub fn waits_for_cgroups(&self) -> bool {
        self.terms.iter().any(|one| one.term.kind.is_place())
    }

    /// The one cgroup of version 2 in or below which all wanted threads are now: id, number of its hierarchy, and path.
    /// None where it may be more than one, or everything.
    #[must_use]
    pub fn only_cgroup(&self) -> Option<(u64, u32, &str)> {
        self.mirror.only_cgroup()
    }

    /// The directory of [that cgroup](Self::only_cgroup), with its id.
    #[must_use]
    pub fn open_only_cgroup(&self) -> Option<(u64, File)> {
        let (id, number, path) = self.only_cgroup()?;
        Some((id, self.hierarchies.numbered(number)?.open(path, id)?))
    }

    /// Looks for places that are there: at first, and where news may have been lost.
    pub fn look(&mut self) {
        let hierarchies = self.hierarchies.clone();
        for hierarchy in hierarchies.iter().filter(|one| one.key.is_some()) {
            if self.has_labels() {
                hierarchy.walk(|place| {
                    self.consider(hierarchy.number, place);
                    true
                });
            } else {
                let paths: Vec<String> = self
                    .terms
                    .iter()
                    .flat_map(|one| match &one.comparison {
                        Comparison::Paths(paths) => &paths[..],
                        _ => &[],
                    })
                    .filter(|(number, _)| *number == hierarchy.number)
                    .map(|(_, path)| path.clone())
                    .collect();
                for place in paths.iter().filter_map(|path| hierarchy.at(path)) {
                    self.consider(hierarchy.number, &place);
                }
            }
        }
    }

    /// Whether cgroups are known by what their paths tell.
    fn has_labels(&self) -> bool {
        let is_label = |one: &Active| matches!(one.term.kind, Kind::Container | Kind::Unit);
        self.terms.iter().any(is_label)
    }

    /// Takes in names of containers; whether some are new: then it is time to [look](Self::look) again.
    pub fn learn(&mut self, names: &Names) -> bool {
        self.names.learn(names)
    }

    /// Containers that a name may be asked of, and was not yet.
    pub fn nameless(&mut self) -> Vec<Labels> {
        self.names.nameless()
    }

    /// Takes in that a cgroup was made.
    pub fn appeared(&mut self, cgroup: &Cgroup, path: &[u8]) {
        if let Ok(path) = std::str::from_utf8(path) {
            let place = Place {
                path: path.to_owned(),
                level: cgroup.level,
                id: cgroup.id,
            };
            self.consider(cgroup.hierarchy, &place);
        }
    }

    /// Adds a cgroup to the filter where it is one that a term means.
    fn consider(&mut self, number: u32, place: &Place) {
        let Some(hierarchy) = self.hierarchies.numbered(number).and_then(|one| one.key) else {
            return;
        };
        for index in 0..self.terms.len() {
            let Some(what) = self.terms[index].means(number, place, &self.names.by_id) else {
                // It may be the one that a term means.
                if self.terms[index].term.kind == Kind::Container {
                    self.names.ask(&place.path);
                }
                continue;
            };
            if number != V2 && *self.first_found.entry((index, what)).or_insert(number) != number {
                continue;
            }
            self.terms[index].has_matched = true;
            let bit = if self.terms[index].term.exclude {
                verdict::EXCLUDE
            } else {
                verdict::INCLUDE
            };
            self.mirror
                .add_place((number, hierarchy), place, bit, &self.hierarchies);
        }
    }

    /// Tells the kernel side what has changed.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn hand_over(&mut self, maps: &mut FilterMaps) -> Result<(), KernelError> {
        self.mirror.hand_over(maps)
    }

    /// Adds a process that is wanted wherever it runs.
    pub fn name(&mut self, pid: u32) {
        self.named.add(pid);
        self.mirror.test(test::NAMES_PROCESSES);
    }

    /// The flags of a process that is registered: whether it was asked for by its id.
    #[must_use]
    pub fn flags(&self, pid: u32) -> u32 {
        let children = match self.named {
            Scope::These { children: true, .. } => NAMES_CHILDREN,
            _ => 0,
        };
        if self.named.wants(pid) {
            NAMED | children
        } else {
            0
        }
    }

    /// Whether a process matches now. What there is of users and names is remembered.
    pub fn matches(&mut self, pid: u32) -> bool {
        let named = self.named.wants(pid);
        let subject = FromProc::read(pid, &self.hierarchies, named);
        self.seen.note(&subject);
        for one in &mut self.terms {
            one.has_matched |= one.is_of(subject.user, subject.comm.as_deref());
        }
        self.mirror.passes(&subject)
    }

    /// Takes in that a process was registered: whether it matches now.
    pub fn meet(&mut self, pid: u32, generation: u64) -> bool {
        let matches = self.matches(pid);
        if matches {
            self.matching.insert(generation);
        }
        matches
    }

    /// Takes in that a process was forked: where its parent matched, it is taken to match.
    pub fn forked(&mut self, parent: u64, child: u64) {
        if self.matching.contains(&parent) {
            self.matching.insert(child);
        }
    }

    /// Whether a process matched when it was met.
    #[must_use]
    pub fn has_matched(&self, generation: u64) -> bool {
        self.matching.contains(&generation)
    }

    /// Whether there were more places than the filter has room for.
    #[must_use]
    pub const fn has_overflowed(&self) -> bool {
        self.mirror.has_overflowed()
    }

    /// The terms that nothing has matched so far, with names that are near.
    #[must_use]
    pub fn unmatched(&self) -> Vec<Unmatched> {
        let unmatched = self.terms.iter().filter(|one| !one.has_matched);
        unmatched
            .map(|one| {
                let names = self
                    .seen
                    .names(one.term.kind, &self.hierarchies, &self.names);
                Unmatched::new(&one.term, names)
            })
            .collect()
    }

    /// Everything that is asked for, as typed.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<String> = self.terms.iter().map(|one| one.term.to_string()).collect();
        words.join(" ")
    }
}
