//! What is kept of registrations that ended a while ago, in a smaller form than of those that live: a recording may
//! see hundreds of thousands of them.

use std::sync::Arc;

use foldhash::{HashMap, HashSet};

use super::tracked::{SeenThread, Tally};
use crate::symbols::{ended::Ended, store::Store};

/// So often have all ring buffers been read before a registration is over. When the last thread's end is reported, another
/// may still be on its way out on another CPU, and a sample of it under way there: it is sent after the news, and the
/// later where a hypervisor holds that CPU.
pub const LATER: u8 = 3;
/// How many are put away at a time: all that lives is looked through for them.
const LOT: usize = 256;

/// Registrations that have ended.
#[derive(Debug, Default)]
pub struct Past {
    /// Their code objects and stacks.
    pub symbols: Ended,
    /// By registration, thread id and stack of [`Self::symbols`].
    pub tallies: HashMap<(u64, u32, u64), Tally>,
    /// The names of their threads, by registration and thread id.
    pub threads: HashMap<(u64, u32), Arc<str>>,
    /// These names, each once.
    names: HashSet<Arc<str>>,
    /// Those that ended of late, and how often all ring buffers have been read since.
    ending: Vec<(u64, u8)>,
}

impl Past {
    /// A registration has ended.
    pub fn ended(&mut self, generation: u64) {
        self.ending.push((generation, 0));
    }

    /// Registrations that have ended and are not put away yet.
    #[must_use]
    pub fn ending(&self) -> HashSet<u64> {
        self.ending
            .iter()
            .map(|&(generation, _)| generation)
            .collect()
    }

    /// Counts registrations with others, as `folded` says, and each one's threads as the one with this id.
    pub fn fold(&mut self, folded: &HashMap<u64, u64>, tid: u32) {
        if folded.is_empty() {
            return;
        }
        let tallies = self
            .tallies
            .extract_if(|(generation, _, _), _| folded.contains_key(generation));
        let tallies: Vec<_> = tallies.collect();
        for ((generation, _, stack), tally) in tallies {
            let key = (folded[&generation], tid, stack);
            self.tallies.entry(key).or_default().add(tally);
        }
        let threads = self
            .threads
            .extract_if(|(generation, _), _| folded.contains_key(generation));
        let threads: Vec<_> = threads.collect();
        for ((generation, _), name) in threads {
            self.threads
                .entry((folded[&generation], tid))
                .or_insert(name);
        }
        self.names.retain(|name| Arc::strong_count(name) > 1);
    }

    /// All ring buffers have been read. The registrations that can be put away, where it is time for a lot.
    pub fn due(&mut self) -> Option<HashSet<u64>> {
        for (_, times) in &mut self.ending {
            *times = times.saturating_add(1);
        }
        let over = || {
            let over = self.ending.iter().filter(|(_, times)| *times >= LATER);
            over.map(|&(generation, _)| generation)
        };
        // Counted first: mostly it is not time, and nothing is to be allocated then.
        (over().count() >= LOT).then(|| over().collect())
    }

    /// Takes over what is known of these registrations; `line_tables` has the format of each one's line tables.
    pub fn take(
        &mut self,
        over: &HashSet<u64>,
        line_tables: &HashMap<u64, u8>,
        store: &mut Store,
        tallies: &mut HashMap<(u64, u32, u64), Tally>,
        threads: &mut HashMap<(u64, u32), SeenThread>,
    ) {
        self.ending
            .retain(|(generation, _)| !over.contains(generation));
        let numbers = self.symbols.take(store, over, line_tables);
        let tallies = tallies.extract_if(|(generation, _, stack), _| {
            over.contains(generation) && numbers.contains_key(stack)
        });
        for ((generation, tid, stack), tally) in tallies {
            let key = (generation, tid, numbers[&stack]);
            self.tallies.entry(key).or_default().add(tally);
        }
        for (key, thread) in threads.extract_if(|(generation, _), _| over.contains(generation)) {
            let name: Arc<str> = thread.name.unwrap_or(thread.comm).into();
            let name = match self.names.get(&name) {
                Some(known) => Arc::clone(known),
                None => {
                    self.names.insert(Arc::clone(&name));
                    name
                }
            };
            self.threads.insert(key, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that a registration is put away only when all ring buffers have been read several times since its
    /// end, and only once.
    #[test]
    fn registrations_are_put_away_later_and_once() {
        let mut past = Past::default();
        for generation in 0..LOT as u64 {
            past.ended(generation);
        }
        for _ in 1..LATER {
            assert_eq!(past.due(), None);
        }
        past.ended(1 << 32);
        let due = past.due().expect("a lot");
        assert_eq!(due.len(), LOT);
        assert!(!due.contains(&(1 << 32)));
        past.take(
            &due,
            &HashMap::default(),
            &mut Store::default(),
            &mut HashMap::default(),
            &mut HashMap::default(),
        );
        assert_eq!(past.due(), None);
    }
}
