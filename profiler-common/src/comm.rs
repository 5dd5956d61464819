//! Patterns for the names that the kernel gives processes (comm): `*` stands for any bytes, `?` for any one.
//!
//! All patterns are matched at once, in one pass over the name and without going back: a pattern is an
//! automaton whose states are the numbers of its elements (all but the stars) that have matched so far,
//! and the set of states it can be in is 16 bits of a word. A step is a look-up and four operations for
//! each four patterns, the same for every name, which is what the kernel's verifier likes.

use crate::filter::verdict;

/// Patterns at most.
pub const MAX_COMMS: usize = 16;
/// Bytes of a name without its NUL: `TASK_COMM_LEN` - 1, Linux include/linux/sched.h.
pub const COMM_BYTES: usize = 15;

/// A name as the kernel has it: its bytes up to the first NUL count.
pub type Comm = [u8; COMM_BYTES + 1];

/// Bits that a pattern's states take: one for each number of elements that can have matched.
const LANE_BITS: usize = COMM_BYTES + 1;
const LANES: usize = 64 / LANE_BITS;
const WORDS: usize = MAX_COMMS / LANES;
/// The first state of each pattern.
const STARTS: u64 = 0x0001_0001_0001_0001;

const _: () = assert!(LANE_BITS == 16 && WORDS * LANES == MAX_COMMS);

/// Sets of states, of all patterns.
type States = [u64; WORDS];

/// Patterns, ready to be matched.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CommPatterns {
    /// By byte: the states from which it leads on to the next.
    leads_on: [States; 256],
    /// The states in which any byte may be passed over: a star stands there.
    stays: States,
    /// The last states of what is included.
    included: States,
    /// The last states of what is excluded.
    excluded: States,
    /// How many patterns there are.
    count: u64,
}

impl Default for CommPatterns {
    fn default() -> Self {
        Self {
            leads_on: [[0; WORDS]; 256],
            stays: [0; WORDS],
            included: [0; WORDS],
            excluded: [0; WORDS],
            count: 0,
        }
    }
}

/// Why a pattern cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has more elements than a name can have bytes: it matches none.
    TooLong,
    /// There are [`MAX_COMMS`] already.
    TooMany,
}

impl CommPatterns {
    /// Adds a pattern, to include or to exclude what it matches.
    ///
    /// # Errors
    /// Where it matches nothing, or there are too many.
    pub fn add(&mut self, pattern: &[u8], exclude: bool) -> Result<(), Refused> {
        let index = self.count as usize;
        if index >= MAX_COMMS {
            return Err(Refused::TooMany);
        }
        if pattern.iter().filter(|&&byte| byte != b'*').count() > COMM_BYTES {
            return Err(Refused::TooLong);
        }
        let (word, mut state) = (index / LANES, 1u64 << (index % LANES * LANE_BITS));
        for &element in pattern {
            match element {
                b'*' => {
                    self.stays[word] |= state;
                    continue;
                }
                b'?' => {
                    for states in &mut self.leads_on {
                        states[word] |= state;
                    }
                }
                byte => self.leads_on[byte as usize][word] |= state,
            }
            state <<= 1;
        }
        if exclude {
            self.excluded[word] |= state;
        } else {
            self.included[word] |= state;
        }
        self.count += 1;
        Ok(())
    }

    /// What the patterns that match a name say: bits of [`verdict`].
    #[inline(always)]
    #[must_use]
    pub fn verdict(&self, comm: &Comm) -> u32 {
        let mut states = [STARTS; WORDS];
        for &byte in &comm[..COMM_BYTES] {
            // What lies behind the NUL is left over from longer names.
            if byte == 0 {
                break;
            }
            let leads_on = &self.leads_on[byte as usize];
            for ((states, leads_on), stays) in states.iter_mut().zip(leads_on).zip(&self.stays) {
                *states = ((*states & leads_on) << 1) | (*states & stays);
            }
        }
        let (mut included, mut excluded) = (0, 0);
        for ((states, include), exclude) in states.iter().zip(&self.included).zip(&self.excluded) {
            included |= states & include;
            excluded |= states & exclude;
        }
        let mut found = 0;
        if included != 0 {
            found |= verdict::INCLUDE;
        }
        if excluded != 0 {
            found |= verdict::EXCLUDE;
        }
        found
    }
}

/// The kernel's name for a text: cut to [`COMM_BYTES`] bytes.
#[must_use]
pub fn comm_of(text: &[u8]) -> Comm {
    let mut comm = [0; COMM_BYTES + 1];
    for (to, &from) in comm[..COMM_BYTES].iter_mut().zip(text) {
        *to = from;
    }
    comm
}

const _: () = assert!(size_of::<CommPatterns>() == (256 + 3) * 32 + 8);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict_of(patterns: &[(&str, bool)], comm: &Comm) -> u32 {
        let mut all = CommPatterns::default();
        for (pattern, exclude) in patterns {
            all.add(pattern.as_bytes(), *exclude).unwrap();
        }
        all.verdict(comm)
    }

    fn matches(pattern: &str, name: &str) -> bool {
        verdict_of(&[(pattern, false)], &comm_of(name.as_bytes())) == verdict::INCLUDE
    }

    /// Makes sure that stars, question marks and plain bytes mean what a shell means by them.
    #[test]
    fn patterns_as_shells_have_them() {
        for (pattern, yes, no) in [
            ("python3", "python3", "python3.12"),
            ("python*", "python", "pytho"),
            ("*", "", "\0"),
            ("", "", "a"),
            ("gunicorn: w*", "gunicorn: worker", "gunicorn: master"),
            ("*ab*ab", "xababab", "xabb"),
            ("?", "a", ""),
            ("**?**", "a", ""),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(no == "\0" || !matches(pattern, no), "{pattern} {no}");
        }
    }

    /// Makes sure that a name ends at its NUL, whatever an older name left behind it.
    #[test]
    fn what_is_behind_the_nul_is_no_name() {
        assert_eq!(
            verdict_of(&[("sh", false)], b"sh\0hon3.12\0\0\0\0\0\0"),
            verdict::INCLUDE
        );
    }

    /// Makes sure that a pattern that no name is long enough for is refused, and so is one too many.
    #[test]
    fn what_has_no_room_is_refused() {
        let mut all = CommPatterns::default();
        assert_eq!(all.add(b"0123456789abcdef", false), Err(Refused::TooLong));
        for _ in 0..MAX_COMMS {
            assert_eq!(all.add(b"*0123456789abcde*", false), Ok(()));
        }
        assert_eq!(all.add(b"a", false), Err(Refused::TooMany));
        assert_eq!(all.verdict(&comm_of(b"0123456789abcdef")), verdict::INCLUDE);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Makes sure that each of many patterns says what another implementation says of it, alone and
        /// together.
        #[test]
        fn another_implementation_agrees(
            patterns in prop::collection::vec(("[ab*?]{0,12}", any::<bool>()), 1..=MAX_COMMS),
            name in "[abc]{0,15}",
        ) {
            let comm = comm_of(name.as_bytes());
            let mut together = 0;
            for (pattern, exclude) in &patterns {
                // There two stars in a row are something else, of paths.
                let mut pattern_of_theirs = pattern.clone();
                while pattern_of_theirs.contains("**") {
                    pattern_of_theirs = pattern_of_theirs.replace("**", "*");
                }
                let theirs = glob::Pattern::new(&pattern_of_theirs).unwrap().matches(&name);
                prop_assert_eq!(matches(pattern, &name), theirs, "{} {}", pattern, name);
                if theirs {
                    together |= if *exclude { verdict::EXCLUDE } else { verdict::INCLUDE };
                }
            }
            let patterns: Vec<_> = patterns.iter().map(|(p, e)| (p.as_str(), *e)).collect();
            prop_assert_eq!(verdict_of(&patterns, &comm), together);
        }
    }
}
