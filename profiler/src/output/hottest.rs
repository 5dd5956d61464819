//! Functions by the time spent in them.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use crate::profile::model::{Frame, Profile};

use super::{Options, frame};

/// A function with its times, in ns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hot {
    /// `qualified.name (file:first line)`, or a mark; printable.
    pub text: String,
    /// Time in which it was the innermost frame.
    pub own_ns: u64,
    /// Time in which it was on the stack, however often.
    pub total_ns: u64,
}

/// All functions and marks that have samples, most own time first.
#[must_use]
pub fn hottest(profile: &Profile, options: &Options) -> Vec<Hot> {
    let options = Options {
        function_only: true,
        ..options.clone()
    };
    let mut weight_of_stack: HashMap<usize, u64> = HashMap::new();
    for sample in &profile.samples {
        let weight = weight_of_stack.entry(sample.stack).or_default();
        *weight = weight.saturating_add(sample.weight_ns);
    }
    // By function, whatever the line, so that recursion from several lines counts once.
    let mut times: HashMap<Key, (Frame, u64, u64)> = HashMap::new();
    let mut seen = HashSet::new();
    for (stack, weight) in weight_of_stack {
        seen.clear();
        for (from_leaf, &frame) in profile.stacks[stack].frames.iter().rev().enumerate() {
            let key = match frame {
                Frame::Python(location) => Key::Function(profile.locations[location].function),
                Frame::Mark(_) => Key::Mark(frame),
            };
            let (_, own, total) = times.entry(key).or_insert((frame, 0, 0));
            if from_leaf == 0 {
                *own = own.saturating_add(weight);
            }
            if seen.insert(key) {
                *total = total.saturating_add(weight);
            }
        }
    }
    let mut hot: Vec<_> = times
        .into_values()
        .map(|(frame, own_ns, total_ns)| Hot {
            text: frame::text(profile, frame, &options).0,
            own_ns,
            total_ns,
        })
        .collect();
    hot.sort_unstable_by(|a, b| {
        let order = |hot: &Hot| (Reverse(hot.own_ns), Reverse(hot.total_ns));
        order(a).cmp(&order(b)).then_with(|| a.text.cmp(&b.text))
    });
    hot
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Function(usize),
    Mark(Frame),
}

#[cfg(test)]
mod tests {
    use crate::output::testing::example;

    use super::*;

    /// Makes sure that own time is the leaf's and recursion counts once. By hand, in samples of 10 ms: `main` is the
    /// leaf of 100 and on all 190; `Shop.handle` is the leaf of 60 + 20 and on 80; `decode` 10; the mark 0 and 100.
    #[test]
    fn recursion_counts_once() {
        let hot: Vec<_> = hottest(&example(), &Options::default())
            .into_iter()
            .map(|hot| (hot.text, hot.own_ns / 10_000_000, hot.total_ns / 10_000_000))
            .collect();
        assert_eq!(
            hot,
            [
                ("main (shop/app.py:1)".into(), 100, 190),
                ("Shop.handle (shop/app.py:10)".into(), 80, 80),
                ("decode (json/decoder.py:30)".into(), 10, 10),
                ("[root frames omitted]".into(), 0, 100),
            ]
        );
    }
}
