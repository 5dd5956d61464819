//! Finding the Python processes among all others, at the start and as they come.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::collector::YOUNG_NS;
use crate::{
    host::{
        self,
        clock::monotonic_ns,
        process::{Description, describe},
    },
    interpreter::{
        cache::Cache,
        process::{Found, executes_other, find},
    },
};

/// How often /proc is looked through for processes that no event told of: those that use no CPU time.
const RESCAN: Duration = Duration::from_secs(5);
/// Where there are so many processes that it takes long, the pause is this many times as long as the look...
const RESCAN_RATIO: u32 = 1000;
/// ... but not longer than this.
const RESCAN_SLOWEST: Duration = Duration::from_secs(10);
/// The time between two looks at a process that has yet to map its libpython, at first: the loader is quick
/// unless the disk is slow. It doubles each time.
const RETRY: Duration = Duration::from_micros(500);
/// How often it doubles: up to 1 s.
const DOUBLINGS: u32 = 11;
/// How often a process is looked at in this rhythm that has mapped an interpreter beside one that does not run.
const WATCHED: u32 = 8;
/// The time between two looks at a process under profile whose samples find no Python, at first and at most.
const DOUBT: Duration = Duration::from_millis(10);
/// See [`DOUBT`].
const LONGEST_DOUBT: Duration = Duration::from_secs(10);

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

    /// Whether a process is among these.
    pub(super) fn wants(&self, pid: u32) -> bool {
        match self {
            Self::All => pid != std::process::id(),
            Self::These { pids, children } => {
                pids.contains(&pid) || (*children && host::process::descends_from(pid, pids))
            }
        }
    }
}

/// A process that is to be looked at.
#[derive(Debug)]
struct Pending {
    due: Instant,
    /// How many looks found a program that has yet to load its interpreter.
    attempts: u32,
    why: Why,
    /// What it was at the first of these looks.
    description: Option<Description>,
}

/// A process that is settled.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// When it was looked at (ns of the monotonic clock).
    looked: u64,
    /// Whether it was handed on: what is in the profile or in the ledger is not looked for any more.
    is_told: bool,
}

/// Why a process is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is there.
    Unknown,
    /// It executes another program.
    Exec,
    /// The kernel side met it, with code mapped that was not there before.
    Met,
}

/// Processes that are to be looked at.
pub struct Discovery {
    scope: Scope,
    cache: Cache,
    /// Looked at and settled.
    known: HashMap<u32, Known>,
    pending: HashMap<u32, Pending>,
    /// CPU time at the exec of processes that have not settled what they are (ns).
    execs: HashMap<u32, u64>,
    /// Processes under profile whose samples find no Python: when to look next, and the pause after that.
    doubts: HashMap<u32, (Instant, Duration)>,
    next_rescan: Instant,
    /// The processes found by the first look through /proc, the busiest last.
    first: Vec<u32>,
    /// The process id that was given out last when /proc was last looked through.
    last_id: Option<u32>,
}

/// What a look at a process has found: Python, or that which cannot be profiled.
#[derive(Debug)]
pub struct Look {
    /// Process id.
    pub pid: u32,
    /// What it runs.
    pub found: Found,
    /// Its CPU time at its exec (ns), where it has done nothing since but to start.
    pub cpu_at_exec: Option<u64>,
    /// What it was, where it is gone by now.
    pub description: Option<Description>,
}

impl Discovery {
    /// Nothing known yet.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            cache: Cache::default(),
            known: HashMap::new(),
            pending: HashMap::new(),
            execs: HashMap::new(),
            doubts: HashMap::new(),
            next_rescan: Instant::now(),
            first: Vec::new(),
            last_id: None,
        }
    }

    /// A process is wanted besides those of the scope.
    pub fn add(&mut self, pid: u32) {
        self.scope.add(pid);
        self.known.remove(&pid);
    }

    /// A process executes another program, after so much CPU time (ns): it is looked at anew.
    pub fn execed(&mut self, pid: u32, cpu: u64) {
        self.execs.insert(pid, cpu);
        self.look_soon(pid, Why::Exec);
    }

    /// A process that is not under profile, or finds no Python, was met by the kernel side at that time (ns of the
    /// monotonic clock) with code that is new.
    pub fn met(&mut self, pid: u32, time: u64) {
        let now = Instant::now();
        if let Some(pending) = self.pending.get_mut(&pid) {
            pending.due = now;
        } else if let Some(doubt) = self.doubts.get_mut(&pid) {
            // What it has mapped may be what it is going to use.
            *doubt = (now, DOUBT);
            self.look_soon(pid, Why::Met);
        } else if self
            .known
            .get(&pid)
            .is_none_or(|known| !known.is_told && known.looked < time)
        {
            self.look_soon(pid, Why::Met);
        }
    }

    /// Samples of a process under profile find no Python: now and then it is looked at again.
    pub fn doubt(&mut self, pid: u32) {
        let now = Instant::now();
        let (due, pause) = self.doubts.entry(pid).or_insert((now, DOUBT));
        if *due <= now {
            *due = now + *pause;
            *pause = (*pause * 2).min(LONGEST_DOUBT);
            self.look_soon(pid, Why::Met);
        }
    }

    /// A process came under profile by its parent's fork at that time (ns of the monotonic clock): there is nothing
    /// to find out, unless /proc has shown it since.
    pub fn forked(&mut self, pid: u32, time: u64) {
        if !self.pending.contains_key(&pid) && !self.was_looked_at_since(pid, time) {
            self.settle(pid, time, true);
        }
    }

    fn was_looked_at_since(&self, pid: u32, time: u64) -> bool {
        self.known
            .get(&pid)
            .is_some_and(|known| known.looked > time)
    }

    fn settle(&mut self, pid: u32, looked: u64, is_told: bool) {
        self.known.insert(pid, Known { looked, is_told });
    }

    /// A process has ended at that time (ns of the monotonic clock): the next with its id is another, and may have
    /// been heard of already.
    pub fn ended(&mut self, pid: u32, time: u64) {
        if !self.pending.contains_key(&pid) && !self.was_looked_at_since(pid, time) {
            self.known.remove(&pid);
            self.execs.remove(&pid);
            self.doubts.remove(&pid);
        }
    }

    fn look_soon(&mut self, pid: u32, why: Why) {
        self.known.remove(&pid);
        let pending = Pending {
            due: Instant::now(),
            attempts: 0,
            why,
            description: None,
        };
        self.pending.insert(pid, pending);
    }

    /// Looks at processes that are due, until a given time: there may be more.
    pub fn run(&mut self, until: Instant, mut found: impl FnMut(Look)) {
        let now = Instant::now();
        if now >= self.next_rescan {
            self.rescan(now);
        }
        // The busiest first: sampling may have begun.
        while Instant::now() < until
            && let Some(pid) = self.first.pop()
        {
            self.look(pid, &mut found);
        }
        let due: Vec<u32> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.due <= now)
            .map(|(&pid, _)| pid)
            .collect();
        for pid in due {
            if Instant::now() >= until {
                break;
            }
            self.look(pid, &mut found);
        }
    }

    /// Whether processes are due to be looked at.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.wait().is_zero()
    }

    /// Whether some process has yet to show what it is.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// How long until [`Self::run`] has something to do.
    #[must_use]
    pub fn wait(&self) -> Duration {
        let next = self.pending.values().map(|pending| pending.due).min();
        let next = next.map_or(self.next_rescan, |due| due.min(self.next_rescan));
        next.saturating_duration_since(Instant::now())
    }

    fn rescan(&mut self, now: Instant) {
        self.next_rescan = now + RESCAN;
        let last_id = host::process::last_id();
        if last_id.is_some() && last_id == self.last_id {
            // No process has been started since.
            return;
        }
        let is_first = self.last_id.is_none();
        self.last_id = last_id;
        let all: HashSet<u32> = match &self.scope {
            Scope::These {
                pids,
                children: false,
            } => pids.clone(),
            _ => host::process::all().into_iter().collect(),
        };
        self.known.retain(|pid, _| all.contains(pid));
        self.execs.retain(|pid, _| all.contains(pid));
        self.doubts.retain(|pid, _| all.contains(pid));
        for &pid in &all {
            if !self.known.contains_key(&pid) {
                self.pending.entry(pid).or_insert(Pending {
                    due: now,
                    attempts: 0,
                    why: Why::Unknown,
                    description: None,
                });
            }
        }
        if is_first {
            self.first = all.into_iter().collect();
            self.first
                .sort_by_cached_key(|&pid| host::process::load(pid));
        }
        self.next_rescan = now + (now.elapsed() * RESCAN_RATIO).clamp(RESCAN, RESCAN_SLOWEST);
    }

    fn look(&mut self, pid: u32, found: &mut impl FnMut(Look)) {
        let Some(mut pending) = self.pending.remove(&pid) else {
            return;
        };
        // What happens from now on is news.
        let looked = monotonic_ns();
        if !self.scope.wants(pid) {
            self.settle(pid, looked, false);
            return;
        }
        // Most programs have nothing to do with Python, and a host starts many. Should one of them load libpython
        // after all, the kernel side meets it with more code than it has now.
        let result = if pending.why == Why::Exec
            && pending.attempts == 0
            && executes_other(pid, &mut self.cache)
        {
            Found::NotPython
        } else {
            find(pid, &mut self.cache)
        };
        match result {
            Found::Python(interpreter)
                if pending.attempts < WATCHED
                    && self.doubts.contains_key(&pid)
                    && !interpreter.runs_in(pid) =>
            {
                // It has what it needs, and is about to use it.
                pending.due = Instant::now() + RETRY * (1 << pending.attempts);
                pending.attempts += 1;
                self.pending.insert(pid, pending);
            }
            Found::Starting => {
                pending.due = Instant::now() + RETRY * (1 << pending.attempts.min(DOUBLINGS));
                pending.attempts += 1;
                pending.description.get_or_insert_with(|| describe(pid));
                self.pending.insert(pid, pending);
            }
            Found::Gone => {
                self.execs.remove(&pid);
                if let Some(description) = pending.description {
                    found(Look {
                        pid,
                        found: Found::Refused {
                            version: None,
                            interpreter: None,
                            reason: "it ended before it had loaded its interpreter".into(),
                        },
                        cpu_at_exec: None,
                        description: Some(description),
                    });
                }
            }
            result => {
                // A process that was asked for by its id must not seem to be something else.
                let is_told = match &result {
                    Found::Python(_) | Found::Refused { .. } => true,
                    Found::Unreadable(_) => self.scope.names(pid),
                    _ => false,
                };
                self.settle(pid, looked, is_told);
                if is_told {
                    found(Look {
                        pid,
                        found: result,
                        cpu_at_exec: self.execs.remove(&pid),
                        description: None,
                    });
                } else if pending.why == Why::Met && self.is_grown_up(pid) {
                    self.execs.remove(&pid);
                }
            }
        }
    }

    /// Whether a process has done more since its exec than to start.
    fn is_grown_up(&self, pid: u32) -> bool {
        let used = host::process::cpu_of_main_thread(pid);
        match (self.execs.get(&pid), used) {
            (Some(&begin), Some(used)) => used.saturating_sub(begin) > YOUNG_NS,
            _ => true,
        }
    }
}
