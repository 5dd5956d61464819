//! What a sample weighs: the time that it stands for.
//!
//! A sample taken each millisecond does not stand for a millisecond of its thread: threads that sleep and
//! wake in step with the sampling are met too often or too seldom, and a hypervisor that takes the CPU
//! away takes ticks with it. The scheduler knows what each thread has used. Its figure comes with each
//! sample, and its growth is shared among the samples that have been taken since it last grew, so that the
//! weights of a thread add up to what the kernel accounts to it.
//!
//! Where a filter left out samples between two that it let pass, part of the growth is time that was not
//! wanted: then the samples weigh no more than the periods that they stand for.
//!
//! Where samples were lost, the next one that arrives knows what the thread used meanwhile. A few periods of it are
//! its own; seconds are not, since nobody knows where they went: those are owed to the thread as a whole, and spread
//! over all its samples in the end.

use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};

/// A thread of a registration: generation and thread id.
pub type ThreadKey = (u64, u32);

/// A thread's account.
#[derive(Debug, Default)]
struct Account {
    /// CPU time that is in weights already (ns).
    settled: u64,
    /// Samples since: stack and periods.
    open: Vec<(u64, u32)>,
    /// CPU time that the samples so far do not account for (ns).
    owed: u64,
    /// The stack that was met last; None: no sample has met the thread.
    last_stack: Option<u64>,
    /// How many firings in its process the filter had left out by then (lower bits).
    left_out: u16,
    /// Whether there were more of these since time was settled last.
    has_gap: bool,
    /// Set when the thread has ended.
    ended: Option<Ended>,
}

/// What is known of a thread that has ended.
#[derive(Debug)]
struct Ended {
    /// CPU time of its whole life (ns), 0 where unknown.
    runtime: u64,
    /// Whether the runtime is final: what was not accounted when the thread ended is in it.
    is_final: bool,
    /// How many times [`Scale::tidy`] was called since.
    tidied: u8,
    /// When that was heard of.
    heard: Instant,
}

/// CPU time of a thread that is over, and that is in no weight yet (ns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// No sample has met the thread.
    Unmet(u64),
    /// Its samples do not account for it.
    Owed(u64),
}

/// A sample, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    /// Its stack.
    pub stack: u64,
    /// How many periods it stands for.
    pub periods: u32,
    /// CPU time of its thread (ns).
    pub runtime: u64,
    /// How many firings in its process the filter had left out by then (lower bits).
    pub left_out: u16,
}

/// How long the final figure of a thread is waited for: a process that is never waited for keeps it to itself.
const FINAL_PATIENCE: Duration = Duration::from_secs(5);

/// The accounts of all threads, and the weights so far.
#[derive(Debug, Default)]
pub struct Scale {
    accounts: HashMap<ThreadKey, Account>,
    /// CPU time of threads when their process came under profile (ns); others began at 0.
    begin: HashMap<ThreadKey, u64>,
}

/// A scheduler that lets this many samples pass without accounting does not account at all: weights are
/// then made of periods.
const PATIENCE: usize = 4096;

/// Samples weigh at most this many times the periods that they stand for. Where none is lost, the time between two
/// samples of a thread that comes and goes is spread as `exp(-time / period)`: one in 3,000 is as far from the last.
const STRETCH: u64 = 8;

impl Scale {
    /// Notes what a thread had used before it came under profile. What was noted before, else 0.
    pub fn begin(&mut self, thread: ThreadKey, runtime: u64) -> u64 {
        self.begin.insert(thread, runtime).unwrap_or(0)
    }

    /// Takes in a sample; `weigh(stack, ns)` is called for each weight that is settled by it.
    pub fn sample(
        &mut self,
        thread: ThreadKey,
        met: Met,
        period_ns: u64,
        mut weigh: impl FnMut(u64, u64),
    ) {
        let account = account(&mut self.accounts, &self.begin, thread);
        account.last_stack = Some(met.stack);
        account.note(met.left_out);
        let periods = met.periods.max(1);
        if met.runtime < account.settled && account.owed > 0 {
            // It was taken before one that came by another ring buffer, and took its time for lost.
            let weight = account.owed.min(u64::from(periods) * period_ns);
            account.owed -= weight;
            weigh(met.stack, weight);
            return;
        }
        account.open.push((met.stack, periods));
        let whole = account.ended.as_ref().map_or(0, |ended| ended.runtime);
        let runtime = met.runtime.max(whole);
        if runtime > account.settled {
            account.settle(runtime, period_ns, &mut weigh);
        } else if account.open.len() >= PATIENCE {
            account.settle_by_periods(period_ns, &mut weigh);
        }
    }

    /// Takes in what a thread has used in all, when it ends or recording does, and how many firings in its process
    /// the filter had left out by then (lower bits).
    pub fn end(
        &mut self,
        thread: ThreadKey,
        runtime: Option<u64>,
        left_out: u16,
        period_ns: u64,
        mut weigh: impl FnMut(u64, u64),
    ) {
        let account = account(&mut self.accounts, &self.begin, thread);
        account.ended = Some(Ended {
            runtime: runtime.unwrap_or(0),
            is_final: false,
            tidied: 0,
            heard: Instant::now(),
        });
        account.note(left_out);
        let Some(last_stack) = account.last_stack else {
            // A sample may still come. If none does, `drop_ended` has the time.
            return;
        };
        match runtime.filter(|&runtime| runtime > 0) {
            Some(runtime) if runtime > account.settled => {
                // What a thread used since it was left out is nobody's.
                if account.open.is_empty() && !account.has_gap {
                    // The rest since its last sample.
                    account.open.push((last_stack, 1));
                }
                account.settle(runtime, period_ns, &mut weigh);
            }
            // Their time is with other samples already: of those taken later on another CPU, whose ring buffer was read
            // first.
            Some(_) => account.open.clear(),
            None => account.settle_by_periods(period_ns, &mut weigh),
        }
    }

    /// Takes in the final figure of a thread that has ended: `weigh(stack, ns)` is called for what was not
    /// accounted before. By how much it is more than what its end was reported with (ns); None where that has not
    /// been heard of.
    pub fn finish(
        &mut self,
        thread: ThreadKey,
        runtime: u64,
        period_ns: u64,
        mut weigh: impl FnMut(u64, u64),
    ) -> Option<u64> {
        let account = self.accounts.get_mut(&thread)?;
        let ended = account.ended.as_mut()?;
        let more = runtime.saturating_sub(ended.runtime);
        ended.runtime += more;
        ended.is_final = true;
        if let Some(stack) = account.last_stack
            && more > 0
        {
            if account.open.is_empty() && !account.has_gap {
                account.open.push((stack, 1));
            }
            let runtime = ended.runtime;
            account.settle(runtime.max(account.settled), period_ns, &mut weigh);
        }
        Some(more)
    }

    /// Forgets threads that ended a while ago. Not at once: the news of an end is sent when it begins (`do_exit`, Linux
    /// kernel/exit.c), and until the kernel is done with a thread that is not the last of its process, it may still be
    /// sampled.
    ///
    /// `left` is called for those with time that is in no weight.
    pub fn tidy(&mut self, left: impl FnMut(ThreadKey, Rest)) {
        self.drop_ended(3, left);
    }

    /// Forgets all threads that have ended: no sample comes any more. `left` is as for [`Self::tidy`].
    pub fn close(&mut self, left: impl FnMut(ThreadKey, Rest)) {
        self.drop_ended(0, left);
    }

    fn drop_ended(&mut self, rounds: u8, mut left: impl FnMut(ThreadKey, Rest)) {
        self.accounts.retain(|&thread, account| {
            let Some(ended) = &mut account.ended else {
                return true;
            };
            ended.tidied = ended.tidied.saturating_add(1);
            let may_change = !ended.is_final && ended.heard.elapsed() < FINAL_PATIENCE;
            if ended.tidied < rounds || (rounds > 0 && may_change) {
                return true;
            }
            // What the filter left out is nobody's.
            if account.last_stack.is_none() && !account.has_gap && ended.runtime > account.settled {
                left(thread, Rest::Unmet(ended.runtime - account.settled));
            }
            if account.owed > 0 {
                left(thread, Rest::Owed(account.owed));
            }
            false
        });
    }

    /// Has other stacks stand in for some: `other(generation, stack)` says which for which.
    pub fn exchange(&mut self, other: impl Fn(u64, u64) -> Option<u64>) {
        for ((generation, _), account) in &mut self.accounts {
            let open = account.open.iter_mut().map(|(stack, _)| stack);
            for stack in open.chain(&mut account.last_stack) {
                if let Some(other) = other(*generation, *stack) {
                    *stack = other;
                }
            }
        }
    }

    /// Forgets all threads of registrations that have ended a while ago.
    pub fn forget(&mut self, ended: &HashSet<u64>) {
        self.accounts
            .retain(|(generation, _), _| !ended.contains(generation));
        self.begin
            .retain(|(generation, _), _| !ended.contains(generation));
    }

    /// Registrations some of whose threads have not been forgotten yet.
    pub fn generations(&self) -> impl Iterator<Item = u64> {
        self.accounts.keys().map(|&(generation, _)| generation)
    }

    /// Threads that have samples and have not ended.
    #[must_use]
    pub fn threads(&self) -> Vec<ThreadKey> {
        let living = self
            .accounts
            .iter()
            .filter(|(_, account)| account.ended.is_none());
        living.map(|(&thread, _)| thread).collect()
    }

    /// Of these threads and what they have used in all (ns), those that used more than `least_ns` since they are
    /// under profile and have no sample: all of theirs were lost.
    #[must_use]
    pub fn missed(&self, runtimes: &HashMap<ThreadKey, u64>, least_ns: u64) -> Vec<ThreadKey> {
        let used = |(thread, runtime): &(&ThreadKey, &u64)| {
            runtime.saturating_sub(self.begin.get(thread).copied().unwrap_or(0))
        };
        let missed = runtimes
            .iter()
            .filter(|entry| !self.accounts.contains_key(entry.0) && used(entry) > least_ns);
        missed.map(|(&thread, _)| thread).collect()
    }
}

/// The account of a thread, which begins with what it had used before.
fn account<'a>(
    accounts: &'a mut HashMap<ThreadKey, Account>,
    begin: &HashMap<ThreadKey, u64>,
    thread: ThreadKey,
) -> &'a mut Account {
    accounts.entry(thread).or_insert_with(|| Account {
        settled: begin.get(&thread).copied().unwrap_or(0),
        ..Account::default()
    })
}

impl Account {
    /// Takes in how many firings were left out so far.
    fn note(&mut self, left_out: u16) {
        self.has_gap |= left_out != self.left_out;
        self.left_out = left_out;
    }

    /// Shares the growth up to `runtime` among the open samples.
    fn settle(&mut self, runtime: u64, period_ns: u64, weigh: &mut impl FnMut(u64, u64)) {
        let mut growth = runtime - self.settled;
        self.settled = runtime;
        let periods: u64 = self
            .open
            .iter()
            .map(|&(_, periods)| u64::from(periods))
            .sum();
        if std::mem::take(&mut self.has_gap) {
            growth = growth.min(periods * period_ns);
        }
        let own = growth.min(periods * period_ns * STRETCH);
        self.owed += growth - own;
        growth = own;
        let mut given = 0;
        let mut passed = 0;
        for (stack, share) in self.open.drain(..) {
            passed += u64::from(share);
            // The running quotient gives away every last nanosecond.
            let due = (u128::from(growth) * u128::from(passed) / u128::from(periods.max(1))) as u64;
            weigh(stack, due - given);
            given = due;
        }
    }

    fn settle_by_periods(&mut self, period_ns: u64, weigh: &mut impl FnMut(u64, u64)) {
        for (stack, periods) in self.open.drain(..) {
            let weight = u64::from(periods) * period_ns;
            self.settled += weight;
            weigh(stack, weight);
        }
    }
}

#[cfg(test)]
#[path = "weigh_tests.rs"]
mod tests;
