//! Time whose samples were lost, spread over those that arrived.

use std::hash::Hash;

use foldhash::HashMap;

use super::{tracked::Tally, weigh::ThreadKey};

/// Samples by registration, thread id and stack.
pub type Tallies = HashMap<(u64, u32, u64), Tally>;

/// Gives each group of tallies the time that it is owed (ns), in proportion to what its tallies weigh. What is owed
/// to a group without any weight is returned.
pub fn spread<G: Copy + Eq + Hash>(
    tallies: &mut Tallies,
    owed: HashMap<G, u64>,
    group: impl Fn((u64, u32, u64)) -> G,
) -> Vec<(G, u64)> {
    if owed.is_empty() {
        return Vec::new();
    }
    /// A group: what it weighs, what of that was passed already, what it is owed and what of that was given.
    struct Share {
        whole: u64,
        passed: u64,
        owed: u64,
        given: u64,
    }
    let mut shares: HashMap<G, Share> = owed
        .into_iter()
        .map(|(group, owed)| {
            let share = Share {
                whole: 0,
                passed: 0,
                owed,
                given: 0,
            };
            (group, share)
        })
        .collect();
    for (&key, tally) in tallies.iter() {
        if let Some(share) = shares.get_mut(&group(key)) {
            share.whole += tally.weight_ns;
        }
    }
    for (&key, tally) in tallies.iter_mut() {
        if let Some(share) = shares.get_mut(&group(key))
            && share.whole > 0
        {
            share.passed += tally.weight_ns;
            // The running quotient gives away every last nanosecond.
            let due = u128::from(share.owed) * u128::from(share.passed) / u128::from(share.whole);
            tally.weight_ns += due as u64 - share.given;
            share.given = due as u64;
        }
    }
    shares
        .into_iter()
        .filter(|(_, share)| share.whole == 0)
        .map(|(group, share)| (group, share.owed))
        .collect()
}

/// A tally's thread.
#[must_use]
pub const fn thread((generation, tid, _): (u64, u32, u64)) -> ThreadKey {
    (generation, tid)
}

/// A tally's registration.
#[must_use]
pub const fn registration((generation, _, _): (u64, u32, u64)) -> u64 {
    generation
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tallies(of: &[(u64, u32, u64, u64)]) -> Tallies {
        of.iter()
            .map(|&(generation, tid, stack, weight_ns)| {
                let tally = Tally {
                    count: 1,
                    weight_ns,
                };
                ((generation, tid, stack), tally)
            })
            .collect()
    }

    /// Makes sure that shares stay what they were, that other threads keep what they have, and that what nobody can
    /// take is returned.
    #[test]
    fn time_is_spread_in_proportion() {
        let mut all = tallies(&[(1, 2, 7, 70), (1, 2, 8, 30), (1, 3, 7, 5), (2, 2, 7, 0)]);
        let owed = HashMap::from_iter([((1, 2), 1_000), ((2, 2), 9), ((9, 9), 4)]);
        let mut returned = spread(&mut all, owed, thread);
        returned.sort_unstable();
        assert_eq!(returned, [((2, 2), 9), ((9, 9), 4)]);
        let weights = [(1, 2, 7), (1, 2, 8), (1, 3, 7)].map(|key| all[&key].weight_ns);
        assert_eq!(weights, [770, 330, 5]);
        spread(&mut all, HashMap::from_iter([(1, 1_105)]), registration);
        assert_eq!(all[&(1, 2, 7)].weight_ns, 2 * 770);
    }

    proptest! {
        /// Makes sure that every nanosecond is given away, whatever the weights.
        #[test]
        fn nothing_is_left_over(
            weights in prop::collection::vec(0_u64..1 << 40, 1..20),
            owed in 0_u64..1 << 40,
        ) {
            let of: Vec<_> = weights.iter().enumerate().map(|(stack, &ns)| (1, 2, stack as u64, ns)).collect();
            let mut all = tallies(&of);
            let returned: u64 = spread(&mut all, HashMap::from_iter([((1, 2), owed)]), thread)
                .into_iter()
                .map(|(_, ns)| ns)
                .sum();
            let after: u64 = all.values().map(|tally| tally.weight_ns).sum();
            prop_assert_eq!(after + returned, weights.iter().sum::<u64>() + owed);
        }
    }
}
