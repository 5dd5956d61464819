//! Stacks that must be the beginning of one of some known paths.

use crate::collapsed::{Collapsed, Stack};

/// Samples whose stack cannot be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Impossible {
    /// How many.
    pub samples: u64,
    /// Some of the stacks, for the message.
    pub examples: Vec<String>,
}

impl Impossible {
    const EXAMPLES: usize = 5;

    /// Adds a stack, with what is wrong about it.
    pub fn add(&mut self, stack: &Stack, what: &str) {
        self.samples += stack.count;
        if self.examples.len() < Self::EXAMPLES {
            let frames: Vec<String> = stack
                .frames
                .iter()
                .map(|frame| match frame.line {
                    Some(line) => format!("{}:{line}", frame.name),
                    None => frame.name.clone(),
                })
                .collect();
            self.examples
                .push(format!("{what}: {}", frames.join(" > ")));
        }
    }
}

/// What a stack reads, or begins with, whose frames could not be read.
pub const UNREADABLE: &str = "[frames unreadable]";

/// Takes out the stacks of which the profiler says that it knows nothing; how many samples they had.
///
/// That is no wrong stack. In 3.11 and 3.12 a thread's newest frame hangs on memory that the interpreter links
/// before it fills it in, and a sample may come in between.
pub fn take_unknown(profile: &mut Collapsed) -> u64 {
    let is_unknown = |stack: &Stack| stack.names().eq([UNREADABLE]);
    let samples = profile.samples_where(is_unknown);
    profile.stacks.retain(|stack| !is_unknown(stack));
    samples
}

/// The samples whose stack is not the beginning of one of the paths (function names, root first).
#[must_use]
pub fn impossible(profile: &Collapsed, paths: &[Vec<String>]) -> Impossible {
    let mut found = Impossible::default();
    for stack in &profile.stacks {
        let begins = |path: &Vec<String>| {
            stack.frames.len() <= path.len() && stack.names().zip(path).all(|(name, of)| name == of)
        };
        if !paths.iter().any(begins) {
            found.add(stack, "no path begins so");
        }
    }
    found
}

/// How many paths were met in whole.
#[must_use]
pub fn met(profile: &Collapsed, paths: &[Vec<String>]) -> usize {
    paths
        .iter()
        .filter(|path| profile.stacks.iter().any(|stack| stack.names().eq(*path)))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Vec<Vec<String>> {
        ["m a1 a2", "m b1"]
            .map(|path| path.split(' ').map(str::to_owned).collect())
            .to_vec()
    }

    fn impossible_in(text: &str) -> u64 {
        impossible(&Collapsed::parse(text).unwrap(), &paths()).samples
    }

    /// Makes sure that mixed, reordered, cut and continued stacks are found, and whole ones and beginnings are not.
    #[test]
    fn impossible_stacks_are_found() {
        let right = "m (m.py:9) 1\nm (m.py:9);a1 (m.py:1) 2\nm (m.py:9);a1 (m.py:1);a2 (m.py:2) 3\nm (m.py:8);b1 (m.py:4) 1\n";
        assert_eq!(impossible_in(right), 0);
        assert_eq!(met(&Collapsed::parse(right).unwrap(), &paths()), 2);
        for wrong in [
            "m (m.py:9);b1 (m.py:1);a2 (m.py:1) 3\n",
            "m (m.py:9);a2 (m.py:1);a1 (m.py:1) 3\n",
            "a1 (m.py:1);a2 (m.py:1) 3\n",
            "m (m.py:9);b1 (m.py:1);b1 (m.py:1) 3\n",
            "[root frames omitted];m (m.py:9) 3\n",
        ] {
            assert_eq!(impossible_in(wrong), 3, "{wrong}");
        }
    }
}
