//! The filter as the kernel side's maps are to hold it, and what of it they do not hold yet.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use profiler_common::filter::{
    self, Filter, Key, MAX_MATCHES, Matches, Probe, Subject, of, test, verdict,
};

use crate::{
    host::hierarchies::{Hierarchies, Place},
    kernel::{KernelError, filter::FilterMaps},
};

/// The filter, with its places and users.
#[derive(Debug)]
pub struct Mirror {
    filter: Filter,
    matches: ByKey,
    /// Of those matches that are cgroups: number of the hierarchy, and path.
    places: HashMap<Key, (u32, String)>,
    /// What the kernel side does not know yet.
    changed: HashSet<Key>,
    filter_changed: bool,
    /// Whether some place had no room.
    overflowed: bool,
}

impl Mirror {
    /// Lets everything pass. The kernel side does not know it yet.
    pub fn new() -> Self {
        Self {
            filter: Filter::default(),
            matches: ByKey::default(),
            places: HashMap::new(),
            changed: HashSet::new(),
            filter_changed: true,
            overflowed: false,
        }
    }

    /// Has more tested: bits of [`mod@test`].
    pub fn test(&mut self, flags: u32) {
        self.filter.flags |= flags;
        self.filter_changed = true;
    }

    /// Adds a pattern for names of processes. It has been checked: there is room, and it is none that is refused.
    pub fn add_comm(&mut self, pattern: &str, is_excluded: bool) {
        let _ = self.filter.comms.add(pattern.as_bytes(), is_excluded);
        self.filter_changed = true;
    }

    /// Adds a user; `bit` is one of [`verdict`].
    pub fn add_user(&mut self, user: u32, bit: u32, hierarchies: &Hierarchies) {
        self.set(Key::new(of::USER, user.into()), bit, hierarchies);
    }

    /// Adds a cgroup of a hierarchy, given by its number and by [its key](crate::host::hierarchies::Hierarchy::key);
    /// `bit` is one of [`verdict`].
    pub fn add_place(
        &mut self,
        (number, hierarchy): (u32, u32),
        place: &Place,
        bit: u32,
        hierarchies: &Hierarchies,
    ) {
        let probe = Probe {
            hierarchy,
            level: place.level,
        };
        match self.filter.probe(probe) {
            Ok(is_new) => self.filter_changed |= is_new,
            Err(filter::Full) => {
                self.overflowed = true;
                return;
            }
        }
        let key = Key::new(hierarchy, place.id);
        if self.set(key, bit, hierarchies) {
            self.places.insert(key, (number, place.path.clone()));
        }
    }

    /// Sets what a place or a user stands for; whether there is room.
    fn set(&mut self, key: Key, bit: u32, hierarchies: &Hierarchies) -> bool {
        if self.is_full_for(&key) {
            self.tidy(hierarchies);
            if self.is_full_for(&key) {
                self.overflowed = true;
                return false;
            }
        }
        let bits = self.matches.0.entry(key).or_default();
        if *bits & bit == 0 {
            *bits |= bit;
            self.changed.insert(key);
        }
        true
    }

    fn is_full_for(&self, key: &Key) -> bool {
        self.matches.0.len() as u32 >= MAX_MATCHES && !self.matches.0.contains_key(key)
    }

    /// Forgets cgroups that are gone. The kernel gives no id twice.
    fn tidy(&mut self, hierarchies: &Hierarchies) {
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
            self.matches.0.remove(&key);
            self.changed.insert(key);
        }
    }

    /// Tells the kernel side what has changed.
    pub fn hand_over(&mut self, maps: &mut FilterMaps) -> Result<(), KernelError> {
        if self.changed.is_empty() && !self.filter_changed {
            return Ok(());
        }
        // What is gone first, to make room.
        let mut changed: Vec<Key> = mem::take(&mut self.changed).into_iter().collect();
        changed.sort_by_key(|key| self.matches.0.contains_key(key));
        for key in changed {
            let verdict = self.matches.get(&key);
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

    /// Whether it lets a process pass.
    pub fn passes(&self, subject: &impl Subject) -> bool {
        filter::passes(&self.filter, &self.matches, subject)
    }

    /// The one cgroup of version 2 in or below which all wanted threads are now: id, number of its hierarchy, and path.
    /// None where it may be more than one, or everything.
    pub fn only_cgroup(&self) -> Option<(u64, u32, &str)> {
        let flags = test::NEEDS_PLACE | test::NAMES_PROCESSES | test::LOOKS_AT_V1;
        if self.filter.flags & flags != test::NEEDS_PLACE || self.overflowed {
            return None;
        }
        let is_included = |key: &Key| self.matches.get(key) & verdict::INCLUDE != 0;
        let mut included = self.places.iter().filter(|(key, _)| is_included(key));
        let (key, (number, path)) = included.next()?;
        (included.next().is_none() && path != "/").then_some((key.id, *number, path))
    }

    /// Whether there were more places than there is room for.
    pub const fn has_overflowed(&self) -> bool {
        self.overflowed
    }
}

/// Bits of [`verdict`], as the kernel side has them in a map.
#[derive(Debug, Default)]
struct ByKey(HashMap<Key, u32>);

impl Matches for ByKey {
    fn get(&self, key: &Key) -> u32 {
        self.0.get(key).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter with these cgroups: key of the hierarchy, path, verdict.
    fn filter(flags: u32, places: &[(u32, &str, u32)]) -> Mirror {
        let mut mirror = Mirror::new();
        mirror.test(flags);
        for (id, &(hierarchy, path, bit)) in (1..).zip(places) {
            let place = Place {
                path: path.to_owned(),
                level: 1,
                id,
            };
            mirror.add_place((0, hierarchy), &place, bit, &Hierarchies::default());
        }
        mirror
    }

    /// Makes sure that a filter is taken for one cgroup only where all that it lets pass is in that cgroup.
    #[test]
    fn the_only_cgroup() {
        let shop = (of::V2, "/shop", verdict::INCLUDE);
        let worker = (of::V2, "/shop/worker", verdict::EXCLUDE);
        let one = filter(test::NEEDS_PLACE | test::NEEDS_USER, &[worker, shop]);
        assert_eq!(one.only_cgroup(), Some((2, 0, "/shop")));
        for (flags, places) in [
            (test::NEEDS_PLACE, vec![]),
            (test::NEEDS_PLACE, vec![worker]),
            (test::NEEDS_PLACE, vec![(of::V2, "/", verdict::INCLUDE)]),
            (
                test::NEEDS_PLACE,
                vec![shop, (of::V2, "/job", verdict::INCLUDE)],
            ),
            (
                test::NEEDS_PLACE,
                vec![(of::controller(1), "/shop", verdict::INCLUDE)],
            ),
            (test::NEEDS_PLACE | test::NAMES_PROCESSES, vec![shop]),
            (test::NEEDS_USER, vec![shop]),
        ] {
            assert_eq!(
                filter(flags, &places).only_cgroup(),
                None,
                "{flags} {places:?}"
            );
        }
    }

    /// Makes sure that a filter with more places than there is room for says so, is not taken for one cgroup, and
    /// keeps its promise of size.
    #[test]
    fn too_many_places() {
        let places = vec![(of::V2, "/gone", verdict::EXCLUDE); MAX_MATCHES as usize];
        let mut full = filter(test::NEEDS_PLACE, &places);
        assert!(!full.has_overflowed());
        full.add_user(1, verdict::INCLUDE, &Hierarchies::default());
        // Cgroups that are gone made room.
        assert!(!full.has_overflowed());
        let mut full = Mirror::new();
        full.test(test::NEEDS_PLACE);
        for user in 0..=MAX_MATCHES {
            full.add_user(user, verdict::INCLUDE, &Hierarchies::default());
        }
        assert!(full.has_overflowed());
        assert_eq!(full.matches.0.len() as u32, MAX_MATCHES);
    }
}
