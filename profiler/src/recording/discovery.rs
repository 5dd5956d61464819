//! Finding the Python processes among all others, at the start and as they come.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use crate::{
    host,
    interpreter::{
        cache::Cache,
        process::{Found, find},
    },
};

/// How often /proc is looked through for processes that no event told of.
const RESCAN: Duration = Duration::from_secs(1);
/// The longest time between two looks at a process that has yet to show its interpreter: 2^10 ms.
const SLOWEST: u32 = 10;

/// Which processes are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every one on the host.
    All,
    /// These, and with `children` all that descend from them.
    These {
        /// Process ids.
        pids: HashSet<u32>,
        /// Whether their descendants are wanted too.
        children: bool,
    },
}

impl Scope {
    /// Whether children that a process forks are profiled from their first sample on.
    #[must_use]
    pub fn follows_children(&self) -> bool {
        matches!(self, Self::All | Self::These { children: true, .. })
    }

    /// Adds a process.
    pub fn add(&mut self, pid: u32) {
        if let Self::These { pids, .. } = self {
            pids.insert(pid);
        }
    }

    /// Whether a process was asked for by its id.
    fn names(&self, pid: u32) -> bool {
        matches!(self, Self::These { pids, .. } if pids.contains(&pid))
    }

    fn wants(&self, pid: u32) -> bool {
        match self {
            Self::All => pid != std::process::id(),
            Self::These { pids, children } => {
                pids.contains(&pid) || (*children && host::process::descends_from(pid, pids))
            }
        }
    }
}

/// Processes that are to be looked at.
pub struct Discovery {
    scope: Scope,
    cache: Cache,
    /// Looked at and settled.
    known: HashSet<u32>,
    /// To be looked at: when, and how often that was done.
    pending: HashMap<u32, (Instant, u32)>,
    next_rescan: Instant,
}

impl Discovery {
    /// Nothing known yet.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            cache: Cache::default(),
            known: HashSet::new(),
            pending: HashMap::new(),
            next_rescan: Instant::now(),
        }
    }

    /// A process executes another program: it is looked at anew.
    pub fn execed(&mut self, pid: u32) {
        self.known.remove(&pid);
        self.pending.insert(pid, (Instant::now(), 0));
    }

    /// A process came under profile by its parent's fork: there is nothing to find out.
    pub fn forked(&mut self, pid: u32) {
        self.known.insert(pid);
    }

    /// Looks at all processes that are due, and hands on what was found: Python and refused ones.
    pub fn run(&mut self, mut found: impl FnMut(u32, Found)) {
        let now = Instant::now();
        if now >= self.next_rescan {
            self.rescan(now);
        }
        let due: Vec<u32> = self
            .pending
            .iter()
            .filter(|(_, (when, _))| *when <= now)
            .map(|(&pid, _)| pid)
            .collect();
        for pid in due {
            self.look(pid, now, &mut found);
        }
    }

    /// Whether some process has yet to show what it is.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// How long until [`Self::run`] has something to do.
    #[must_use]
    pub fn wait(&self) -> Duration {
        let next = self.pending.values().map(|&(when, _)| when).min();
        let next = next.map_or(self.next_rescan, |when| when.min(self.next_rescan));
        next.saturating_duration_since(Instant::now())
    }

    fn rescan(&mut self, now: Instant) {
        self.next_rescan = now + RESCAN;
        let all: HashSet<u32> = match &self.scope {
            Scope::These {
                pids,
                children: false,
            } => pids.clone(),
            _ => host::process::all().into_iter().collect(),
        };
        self.known.retain(|pid| all.contains(pid));
        for pid in all {
            if !self.known.contains(&pid) {
                self.pending.entry(pid).or_insert((now, 0));
            }
        }
    }

    fn look(&mut self, pid: u32, now: Instant, found: &mut impl FnMut(u32, Found)) {
        let attempt = self.pending.remove(&pid).map_or(0, |(_, attempt)| attempt);
        if !self.scope.wants(pid) {
            self.known.insert(pid);
            return;
        }
        match find(pid, &mut self.cache) {
            // A stripped 3.6 shows where its threads are only while one of them has the GIL.
            Found::Python(one) if one.interpreters == 0 && attempt < SLOWEST => {
                self.look_again(pid, now, attempt);
            }
            Found::Starting => self.look_again(pid, now, attempt),
            Found::Gone => {}
            result => {
                self.known.insert(pid);
                // A process that was asked for by its id must not seem to be something else.
                let is_told = match &result {
                    Found::Python(_) | Found::Refused { .. } => true,
                    Found::Unreadable(_) => self.scope.names(pid),
                    _ => false,
                };
                if is_told {
                    found(pid, result);
                }
            }
        }
    }

    fn look_again(&mut self, pid: u32, now: Instant, attempt: u32) {
        // 1 ms at first, then twice as long each time: the loader is quick unless the disk is slow.
        let delay = Duration::from_millis(1 << attempt.min(SLOWEST));
        self.pending.insert(pid, (now + delay, attempt + 1));
    }
}
