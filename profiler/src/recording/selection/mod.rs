//! Which processes are wanted: what a person asked for, made into the filter that the kernel side decides by, and
//! kept up to date while cgroups and containers come.

mod active;
mod near;
pub mod pattern;
mod subject;
pub mod term;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::File,
    io, mem,
};

use profiler_common::{
    filter::{self, Filter, Key, MAX_MATCHES, Matches, Probe, of, test, verdict},
    process::{NAMED, NAMES_CHILDREN},
    record::Cgroup,
};

pub use self::near::Unmatched;
use self::{
    active::{Active, Comparison},
    pattern::{CommPattern, ContainerPattern, Senseless, UnitPattern},
    subject::FromProc,
    term::{Kind, Term},
};
use super::discovery::Scope;
use crate::{
    host::{
        containers::{Names, short},
        hierarchies::{Hierarchies, Place},
        labels::Labels,
        users,
    },
    kernel::{KernelError, filter::FilterMaps},
};

/// How many names of users and processes are kept, to be told where nothing matches.
const MOST_NAMES: usize = 1000;
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
    filter: Filter,
    matches: HashMap<Key, u32>,
    /// Of those matches that are cgroups: number of the hierarchy, and path.
    places: HashMap<Key, (u32, String)>,
    /// By term and what of it was found: the version 1 hierarchy that it was found in first. One is enough, since
    /// runtimes put a container into all of them alike, and each is one look more for the kernel side.
    first_found: HashMap<(usize, String), u32>,
    /// What the kernel side does not know yet.
    changed: HashSet<Key>,
    filter_changed: bool,
    /// Whether some place had no room.
    overflowed: bool,
    /// Processes asked for by their ids.
    named: Scope,
    /// Registrations of processes that matched when they were met.
    matching: HashSet<u64>,
    /// Names of containers by full id.
    names: HashMap<String, String>,
    /// How many were known to whoever tells them when it was asked last.
    names_learnt: usize,
    /// Containers without a name, of which nobody has been asked yet; and those of which somebody has.
    nameless: Vec<Labels>,
    asked: HashSet<String>,
    users: BTreeSet<u32>,
    comms: BTreeSet<String>,
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
            filter: Filter::default(),
            matches: HashMap::new(),
            places: HashMap::new(),
            first_found: HashMap::new(),
            changed: HashSet::new(),
            filter_changed: true,
            overflowed: false,
            named,
            matching: HashSet::new(),
            names: HashMap::new(),
            names_learnt: 0,
            nameless: Vec::new(),
            asked: HashSet::new(),
            users: BTreeSet::new(),
            comms: BTreeSet::new(),
        };
        if matches!(&selection.named, Scope::These { pids, .. } if !pids.is_empty()) {
            selection.filter.flags |= test::NAMES_PROCESSES;
        }
        selection.learn(&names);
        selection.names_learnt = 0;
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
        self.filter.flags |= flags;
        let comparison = match term.kind {
            Kind::Cgroup => Some(Comparison::Paths(self.paths(&term.text)?)),
            Kind::Container => ContainerPattern::new(&term.text).map(Comparison::Container),
            Kind::Unit => UnitPattern::new(&term.text).map(Comparison::Unit),
            Kind::User => {
                let user = users::id(&term.text)
                    .ok_or_else(|| Error::NoUser(Unmatched::new(term, users::names())))?;
                self.set(Key::new(of::USER, user.into()), bit);
                Some(Comparison::User(user))
            }
            Kind::Comm => {
                // What it may refuse has been checked.
                let _ = self.filter.comms.add(term.text.as_bytes(), term.exclude);
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
        let flags = test::NEEDS_PLACE | test::NAMES_PROCESSES | test::LOOKS_AT_V1;
        if self.filter.flags & flags != test::NEEDS_PLACE || self.overflowed {
            return None;
        }
        let is_included = |key: &Key| {
            self.matches
                .get(key)
                .is_some_and(|bits| bits & verdict::INCLUDE != 0)
        };
        let mut included = self.places.iter().filter(|(key, _)| is_included(key));
        let (key, (number, path)) = included.next()?;
        (included.next().is_none() && path != "/").then_some((key.id, *number, path))
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
        let before = self.names.len();
        if names.len() != self.names_learnt {
            self.names_learnt = names.len();
            let names = names.iter();
            self.names
                .extend(names.map(|(id, named)| (id.to_owned(), named.name.clone())));
        }
        self.names.len() != before
    }

    /// Containers that a name may be asked of, and was not yet.
    pub fn nameless(&mut self) -> Vec<Labels> {
        mem::take(&mut self.nameless)
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
            let Some(what) = self.terms[index].means(number, place, &self.names) else {
                self.ask_name(index, place);
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
            let probe = Probe {
                hierarchy,
                level: place.level,
            };
            match self.filter.probe(probe) {
                Ok(is_new) => self.filter_changed |= is_new,
                Err(filter::Full) => {
                    self.overflowed = true;
                    continue;
                }
            }
            let key = Key::new(hierarchy, place.id);
            self.set(key, bit);
            self.places.insert(key, (number, place.path.clone()));
        }
    }

    /// Remembers to ask for the name of a container: it may be the one that a term means.
    fn ask_name(&mut self, index: usize, place: &Place) {
        if self.terms[index].term.kind == Kind::Container {
            let labels = Labels::of_cgroup(&place.path);
            if let Some(id) = &labels.container
                && !self.names.contains_key(id)
                && self.asked.insert(id.clone())
            {
                self.nameless.push(labels);
            }
        }
    }

    /// Sets what a place or a user stands for.
    fn set(&mut self, key: Key, bit: u32) {
        if self.matches.len() as u32 >= MAX_MATCHES && !self.matches.contains_key(&key) {
            self.tidy();
            if self.matches.len() as u32 >= MAX_MATCHES {
                self.overflowed = true;
                return;
            }
        }
        let bits = self.matches.entry(key).or_default();
        if *bits & bit == 0 {
            *bits |= bit;
            self.changed.insert(key);
        }
    }

    /// Forgets cgroups that are gone. The kernel gives no id twice.
    fn tidy(&mut self) {
        let hierarchies = &self.hierarchies;
        let gone: Vec<Key> = self
            .places
            .iter()
            .filter(|(key, (number, path))| {
                let now = hierarchies.numbered(*number).and_then(|one| one.at(path));
                now.is_none_or(|now| now.id != key.id)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.places.remove(&key);
            self.matches.remove(&key);
            self.changed.insert(key);
        }
    }

    /// Tells the kernel side what has changed.
    ///
    /// # Errors
    /// Where a map cannot be written.
    pub fn hand_over(&mut self, maps: &mut FilterMaps) -> Result<(), KernelError> {
        if self.changed.is_empty() && !self.filter_changed {
            return Ok(());
        }
        // What is gone first, to make room.
        let mut changed: Vec<Key> = mem::take(&mut self.changed).into_iter().collect();
        changed.sort_by_key(|key| self.matches.contains_key(key));
        for key in changed {
            let verdict = self.matches.get(&key).copied().unwrap_or(0);
            let set = maps.set_match(&key, verdict);
            if verdict != 0 {
                set?;
            }
        }
        // Then the levels at which to look for them; and then that what was known is no longer so.
        if mem::take(&mut self.filter_changed) {
            maps.set(&self.filter)?;
        }
        self.filter.state = self.filter.state.wrapping_add(1);
        maps.set(&self.filter)?;
        Ok(())
    }

    /// Adds a process that is wanted wherever it runs.
    pub fn name(&mut self, pid: u32) {
        self.named.add(pid);
        self.filter.flags |= test::NAMES_PROCESSES;
        self.filter_changed = true;
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
        for one in &mut self.terms {
            one.has_matched |= one.is_of(subject.user, subject.comm.as_deref());
        }
        filter::passes(&self.filter, &InMemory(&self.matches), &subject)
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
        self.overflowed
    }

    /// The terms that nothing has matched so far, with names that are near.
    #[must_use]
    pub fn unmatched(&self) -> Vec<Unmatched> {
        let mut unmatched = Vec::new();
        for one in self.terms.iter().filter(|one| !one.has_matched) {
            unmatched.push(Unmatched::new(&one.term, self.names(one.term.kind)));
        }
        unmatched
    }

    /// Everything that is asked for, as typed.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<String> = self.terms.iter().map(|one| one.term.to_string()).collect();
        words.join(" ")
    }

    /// What there is of a kind.
    fn names(&self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::User => self.users.iter().map(|&user| users::name(user)).collect(),
            Kind::Comm => self.comms.iter().cloned().collect(),
            Kind::Cgroup | Kind::Container | Kind::Unit => {
                let mut names = BTreeSet::new();
                for hierarchy in self.hierarchies.iter().filter(|one| one.key.is_some()) {
                    hierarchy.walk(|place| {
                        let labels = Labels::of_cgroup(&place.path);
                        names.extend(match kind {
                            Kind::Container => labels.container.map(|id| {
                                let name = self.names.get(&id).map(String::as_str);
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

/// The matches as the kernel side has them in a map.
struct InMemory<'a>(&'a HashMap<Key, u32>);

impl Matches for InMemory<'_> {
    fn get(&self, key: &Key) -> u32 {
        self.0.get(key).copied().unwrap_or(0)
    }
}
