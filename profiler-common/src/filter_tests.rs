//! The filter against the sentences that describe it, written out again as sets.

use std::{cell::RefCell, collections::HashMap};

use proptest::prelude::*;

use super::*;
use crate::comm::comm_of;

/// A host: cgroups by their path from the root, a user, a name.
#[derive(Clone, Debug)]
struct Thread {
    /// Ids of the cgroups from the root down, of version 2 and of one controller.
    paths: [Vec<u64>; 2],
    user: u32,
    comm: String,
    named: bool,
}

const CONTROLLER: u32 = of::controller(4);

impl Subject for Thread {
    fn cgroup_at(&self, probe: Probe) -> Option<u64> {
        let path = match probe.hierarchy {
            of::V2 => &self.paths[0],
            CONTROLLER => &self.paths[1],
            _ => return None,
        };
        path.get(probe.level as usize).copied()
    }

    fn user(&self) -> Option<u32> {
        Some(self.user)
    }

    fn comm(&self) -> Option<Comm> {
        Some(comm_of(self.comm.as_bytes()))
    }

    fn is_named(&self) -> bool {
        self.named
    }
}

impl Matches for HashMap<Key, u32> {
    fn get(&self, key: &Key) -> u32 {
        HashMap::get(self, key).copied().unwrap_or(0)
    }
}

/// What places say of cgroups, by the cgroup's id and the filter's state.
type Known = RefCell<HashMap<(u64, u32), u32>>;

/// A thread whose cgroup of version 2 is remembered, as the kernel side does it.
struct Remembering<'a>(&'a Thread, &'a Known);

impl Remembering<'_> {
    fn key(&self, filter: &Filter) -> Option<(u64, u32)> {
        let cgroup = *self.0.paths[0].last()?;
        (filter.flags & test::LOOKS_AT_V1 == 0).then_some((cgroup, filter.state))
    }
}

impl Subject for Remembering<'_> {
    fn cgroup_at(&self, probe: Probe) -> Option<u64> {
        self.0.cgroup_at(probe)
    }

    fn user(&self) -> Option<u32> {
        self.0.user()
    }

    fn comm(&self) -> Option<Comm> {
        self.0.comm()
    }

    fn is_named(&self) -> bool {
        self.0.is_named()
    }

    fn recall(&self, filter: &Filter) -> Option<u32> {
        self.1.borrow().get(&self.key(filter)?).copied()
    }

    fn remember(&self, filter: &Filter, found: u32) {
        if let Some(key) = self.key(filter) {
            self.1.borrow_mut().insert(key, found);
        }
    }
}

/// A filter as a person gives it.
#[derive(Clone, Debug)]
struct Wanted {
    /// Hierarchy (0: version 2), level, id, whether it is excluded.
    places: Vec<(usize, u32, u64, bool)>,
    users: Vec<(u32, bool)>,
    comms: Vec<(String, bool)>,
}

impl Wanted {
    fn compiled(&self) -> (Filter, HashMap<Key, u32>) {
        let (mut filter, mut matches) = (Filter::default(), HashMap::new());
        let bit = |exclude| {
            if exclude {
                verdict::EXCLUDE
            } else {
                verdict::INCLUDE
            }
        };
        for &(hierarchy, level, id, exclude) in &self.places {
            let hierarchy = [of::V2, CONTROLLER][hierarchy];
            filter.probe(Probe { hierarchy, level }).unwrap();
            *matches.entry(Key::new(hierarchy, id)).or_default() |= bit(exclude);
            filter.flags |= [test::NEEDS_PLACE, test::EXCLUDES_PLACES][usize::from(exclude)];
        }
        for &(user, exclude) in &self.users {
            *matches
                .entry(Key::new(of::USER, u64::from(user)))
                .or_default() |= bit(exclude);
            filter.flags |= test::LOOKS_AT_USER;
            if !exclude {
                filter.flags |= test::NEEDS_USER;
            }
        }
        for (comm, exclude) in &self.comms {
            filter.comms.add(comm.as_bytes(), *exclude).unwrap();
            filter.flags |= test::LOOKS_AT_COMM;
            if !exclude {
                filter.flags |= test::NEEDS_COMM;
            }
        }
        (filter, matches)
    }

    /// In words: included by one of a kind where there is any of that kind, and excluded by nothing.
    fn wants(&self, thread: &Thread) -> bool {
        let is_in = |&(hierarchy, level, id, _): &(usize, u32, u64, bool)| {
            thread.paths[hierarchy].get(level as usize) == Some(&id)
        };
        let kind = |any: bool, hit: bool| hit || !any;
        let places = || self.places.iter().filter(|place| !place.3);
        let users = || self.users.iter().filter(|user| !user.1);
        let comms = || self.comms.iter().filter(|comm| !comm.1);
        kind(places().count() > 0, thread.named || places().any(is_in))
            && kind(users().count() > 0, users().any(|u| u.0 == thread.user))
            && kind(comms().count() > 0, comms().any(|c| c.0 == thread.comm))
            && !self.places.iter().any(|place| place.3 && is_in(place))
            && !self.users.iter().any(|u| u.1 && u.0 == thread.user)
            && !self.comms.iter().any(|c| c.1 && c.0 == thread.comm)
    }
}

/// Ids that tell their level, as no two cgroups share one.
fn path() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(0..3u64, 1..5).prop_map(|turns| {
        let mut id = 1;
        let below = turns.iter().map(|turn| {
            id = id * 4 + turn;
            id
        });
        std::iter::once(1)
            .chain(below.collect::<Vec<_>>())
            .collect()
    })
}

fn thread() -> impl Strategy<Value = Thread> {
    ([path(), path()], 0..3u32, "[ab]{1,2}", any::<bool>()).prop_map(
        |(paths, user, comm, named)| Thread {
            paths,
            user,
            comm,
            named,
        },
    )
}

fn place() -> impl Strategy<Value = (usize, u32, u64, bool)> {
    (
        0..2usize,
        path(),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(hierarchy, path, index, exclude)| {
            let level = index.index(path.len());
            (hierarchy, level as u32, path[level], exclude)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    /// Makes sure that any filter lets through exactly what its description says.
    #[test]
    fn it_does_what_it_says(
        places in prop::collection::vec(place(), 0..6),
        users in prop::collection::vec((0..3u32, any::<bool>()), 0..3),
        comms in prop::collection::vec(("[ab]{1,2}", any::<bool>()), 0..3),
        threads in prop::collection::vec(thread(), 1..4),
        added in place(),
    ) {
        let mut wanted = Wanted { places, users, comms };
        let known = Known::default();
        for state in 0..2 {
            let (mut filter, matches) = wanted.compiled();
            filter.state = state;
            for thread in &threads {
                let expected = wanted.wants(thread);
                prop_assert_eq!(passes(&filter, &matches, thread), expected);
                prop_assert_eq!(passes(&filter, &matches, &Remembering(thread, &known)), expected);
                let mut flags = filter.flags;
                if threads.iter().any(|thread| thread.named) {
                    flags |= test::NAMES_PROCESSES;
                }
                if decides_by_place(flags) {
                    let is_out = is_out_of_place(flags, find(&filter, &matches, thread));
                    prop_assert!(!is_out || !expected);
                    if wanted.users.is_empty() && wanted.comms.is_empty() && !thread.named {
                        prop_assert!(is_out || flags & test::NAMES_PROCESSES != 0 || expected);
                    }
                }
            }
            // What was remembered is forgotten once the filter is another.
            wanted.places.push(added);
        }
    }
}

/// Makes sure that levels are probed once each, and that there is an end to it.
#[test]
fn levels_are_probed_once() {
    let mut filter = Filter::default();
    for level in 0..MAX_PROBES as u32 {
        let probe = Probe {
            hierarchy: of::V2,
            level,
        };
        assert_eq!(filter.probe(probe), Ok(true));
        assert_eq!(filter.probe(probe), Ok(false));
    }
    let probe = Probe {
        hierarchy: CONTROLLER,
        level: 0,
    };
    assert_eq!(filter.probe(probe), Err(Full));
}

/// Makes sure that what cannot be read is not taken for what is wanted.
#[test]
fn the_unreadable_is_not_wanted() {
    struct Unreadable;
    impl Subject for Unreadable {
        fn cgroup_at(&self, _: Probe) -> Option<u64> {
            None
        }
        fn user(&self) -> Option<u32> {
            None
        }
        fn comm(&self) -> Option<Comm> {
            None
        }
        fn is_named(&self) -> bool {
            false
        }
    }
    for flags in [
        test::NEEDS_PLACE,
        test::LOOKS_AT_USER | test::NEEDS_USER,
        test::LOOKS_AT_COMM | test::NEEDS_COMM,
    ] {
        let filter = Filter {
            flags,
            ..Filter::default()
        };
        assert!(!passes(&filter, &HashMap::new(), &Unreadable));
    }
}
